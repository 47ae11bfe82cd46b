package main

import (
	"context"
	"fmt"

	"oidc-agent/proto/account"
	"oidc-agent/proto/oidc"
)

// verifyIDToken checks the id_token of an answer (Core section 3.1.3.7) and returns whom it is about. Without one
// there is nothing to check: plain OAuth2 has none, and a provider may refuse the scope openid. A wrong one
// spoils the whole answer, which is wiped.
func (p *provider) verifyIDToken(ctx context.Context, c *account.Account, r *oidc.TokenResponse, want oidc.IDTokenCheck) (subject string, err error) {
	if r.IDToken.IsEmpty() {
		return want.Subject, nil
	}
	want.ClientID, want.AccessToken, want.Date, want.Direct = c.ClientID, r.AccessToken, r.Date, true
	id, err := p.VerifyIDToken(ctx, p.metadata, r.IDToken, want)
	if err != nil {
		r.Wipe()
		return "", fmt.Errorf("the answer of %s is refused: %w", p.metadata.Issuer, err)
	}
	return id.Subject, nil
}

// verifyRefreshed checks the id_token of a refresh (Core section 12.2). It must be about the same user as those
// that this agent has seen before.
func (p *provider) verifyRefreshed(ctx context.Context, l *loaded, c *account.Account, r *oidc.TokenResponse) error {
	l.mu.Lock()
	known := l.subject
	l.mu.Unlock()
	found, err := p.verifyIDToken(ctx, c, r, oidc.IDTokenCheck{Subject: known, AnyTime: true})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subject = found
	return nil
}
