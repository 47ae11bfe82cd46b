package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"oidc-agent/proto/account"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

// token is an access token as the agent keeps and hands it out.
type token struct {
	access    secret.Secret
	id        secret.Secret // the id_token that came with it, if any
	issuer    string
	expiresAt int64 // seconds since 1970; 0 when the provider did not tell
}

// validFor reports whether the token lives longer than so many seconds. A token without an expiry is taken
// as it is: only the provider knows.
func (t token) validFor(now time.Time, seconds int64) bool {
	return t.expiresAt == 0 || t.expiresAt-now.Unix() > seconds
}

// tokenRequest is what a caller wants of an account.
type tokenRequest struct {
	scope    string // "" is all that was granted
	audience string
	minValid int64 // seconds
	force    bool  // a token of the cache will not do
	idToken  bool  // the answer must come with an id_token
}

func (r tokenRequest) key() tokenKey { return tokenKey{wordSet(r.scope), wordSet(r.audience)} }

// flight is one refresh grant that all who wait for the same token share.
type flight struct {
	done  chan struct{}
	token token
	err   error
}

// grantTimeout bounds a grant with all that belongs to it: the wait for the account's turn and for the lock
// of its file, discovery, the exchange itself, and the write of a new refresh token. The first caller may
// leave before that; the others still want the token.
const grantTimeout = 30 * time.Second

// accessToken answers from the cache, or takes part in a grant. Who insists on a new token (force) is served
// by a grant that began after he came, and shares it with all who came meanwhile.
func (a *agent) accessToken(ctx context.Context, l *loaded, r tokenRequest) (token, error) {
	key := r.key()
	for first := true; ; first = false {
		l.mu.Lock()
		if t, ok := l.tokens[key]; ok && !r.force && t.validFor(a.now(), r.minValid) && (!r.idToken || !t.id.IsEmpty()) {
			l.mu.Unlock()
			return t, nil
		}
		f, shared := l.flights[key], true
		if f == nil {
			f, shared = &flight{done: make(chan struct{})}, false
			l.flights[key] = f
			go a.fly(l, key, r, f)
		}
		l.mu.Unlock()
		select {
		case <-f.done:
			if !shared || !first || !r.force {
				return f.token, f.err
			}
		case <-ctx.Done():
			return token{}, fmt.Errorf("waiting for %s: %w", l.config.IssuerURL, context.Cause(ctx))
		}
	}
}

// fly runs a grant and hands its result to all who wait.
func (a *agent) fly(l *loaded, key tokenKey, r tokenRequest, f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), grantTimeout)
	defer cancel()
	if f.err = a.lock.enter(); f.err == nil {
		f.token, f.err = a.grant(ctx, l, r)
		a.lock.leave()
	}
	l.mu.Lock()
	if f.err == nil {
		l.tokens[key] = f.token
	}
	delete(l.flights, key)
	l.mu.Unlock()
	close(f.done)
}

// grant gets a new access token from the provider. While it is not known that the refresh token stays the
// same, grants of an account go one after the other, and hold the lock of its file, so that no refresh token
// is ever presented twice: a provider takes that for theft (RFC 9700 section 4.14.2).
func (a *agent) grant(ctx context.Context, l *loaded, r tokenRequest) (token, error) {
	l.mu.Lock()
	constant := l.constantToken
	l.mu.Unlock()
	if !constant {
		select {
		case l.turn <- struct{}{}:
			defer func() { <-l.turn }()
		case <-ctx.Done():
			return token{}, fmt.Errorf("waiting for another refresh of %q: %w", l.name(), context.Cause(ctx))
		}
		unlock, err := a.lockFile(ctx, l)
		if err != nil {
			return token{}, err
		}
		defer unlock()
		a.adopt(l)
	}
	t, err := a.refresh(ctx, l, r, !constant)
	var refused *oidc.Error
	if errors.As(err, &refused) && refused.TokenExpired() && constant && a.adopt(l) {
		// Somebody put another refresh token into the file meanwhile: a new login, or a sibling agent.
		return a.refresh(ctx, l, r, false)
	}
	return t, err
}

// refresh is one exchange with the provider, and what follows from its answer. locked says that the caller
// holds the lock of the account's file.
func (a *agent) refresh(ctx context.Context, l *loaded, r tokenRequest, locked bool) (token, error) {
	config, err := a.withSecrets(l)
	if err != nil {
		return token{}, err
	}
	defer config.ClientSecret.Wipe()
	defer config.RefreshToken.Wipe()
	if config.RefreshToken.IsEmpty() {
		return token{}, errNoRefreshToken
	}
	p, err := a.provider(ctx, config, false)
	if err != nil {
		return token{}, err
	}
	response, err := p.Refresh(ctx, p.metadata, credentials(config), config.RefreshToken, a.tokenParameters(config, r))
	if response != nil { // even an answer that is no good may hold the only refresh token that is
		a.rotate(ctx, l, response.RefreshToken, locked)
	}
	if err != nil {
		return token{}, err
	}
	return tokenFrom(p.metadata.Issuer, response), nil
}

// tokenParameters are the scope and the audience of a refresh. Without a scope the provider gives all that
// was granted (RFC 6749 section 6), never more; without an audience the account's own applies.
func (a *agent) tokenParameters(config *account.Account, r tokenRequest) oidc.TokenRequest {
	audience := r.audience
	if audience == "" {
		audience = config.Audience
	}
	return oidc.TokenRequest{
		Scope:          r.scope,
		Audience:       strings.Fields(audience),
		LegacyAudience: a.issuerSettings(config.IssuerURL).LegacyAudMode,
	}
}

func tokenFrom(issuer string, r *oidc.TokenResponse) token {
	t := token{access: r.AccessToken, id: r.IDToken, issuer: issuer}
	if r.ExpiresIn > 0 {
		t.expiresAt = r.Received.Unix() + r.ExpiresIn
	}
	return t
}
