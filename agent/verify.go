package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/oidc"
)

// verifyIDToken checks the id_token in a response (Core section 3.1.3.7) and returns its subject. A response may
// have none: plain OAuth2 has no id_token, and a provider may refuse the scope openid. A wrong one makes the
// whole response invalid, and it is wiped.
func (p *provider) verifyIDToken(ctx context.Context, r *oidc.TokenResponse, want oidc.IDTokenCheck) (string, error) {
	if r.IDToken.IsEmpty() {
		return want.Subject, nil
	}
	subject, err := p.VerifyIDToken(ctx, r, want)
	if err != nil {
		r.Wipe()
		return "", fmt.Errorf("the answer of %s is refused: %w", p.Issuer, err)
	}
	return subject, nil
}

// verifyToken answers whether a JWT was signed by its issuer. It fetches keys only from issuers with which the
// user has an account: otherwise a token could send the agent to any host, and anyone can be the issuer of a
// token.
func (a *agent) verifyToken(ctx context.Context, r request) (*cjson.Object, error) {
	token := r.Secret(ipc.KeyToken)
	defer token.Wipe()
	issuer, err := oidc.UnverifiedIssuer(token)
	if err != nil {
		return nil, err
	}
	if issuer == "" {
		return nil, errors.New("the token does not name its issuer")
	}
	known := a.accountAt(issuer)
	if known == nil {
		return nil, fmt.Errorf("you have no account with the token's issuer %q", issuer)
	}
	p, err := a.provider(ctx, known, false)
	if err != nil {
		return nil, err
	}
	invalid, err := p.VerifySignature(ctx, token)
	if err != nil {
		return nil, err
	}
	answer := ipc.Success("").SetText(ipc.KeyIssuer, p.Issuer).SetInt(ipc.KeyValid, ipc.Flag(invalid == nil))
	if invalid != nil {
		answer.SetText(ipc.KeyInfo, invalid.Error())
	}
	return answer, nil
}

// accountAt returns a loaded account of an issuer, or one made from issuer.config if accounts are listed there,
// or nil.
func (a *agent) accountAt(issuer string) *account.Account {
	if found := a.accounts.ofIssuer(issuer); len(found) > 0 {
		return found[0].config
	}
	s := a.issuerSettings(issuer)
	if !slices.ContainsFunc(s.Accounts, func(name string) bool { return name != "" }) {
		return nil
	}
	return &account.Account{IssuerURL: s.Issuer, ConfigEndpoint: s.ConfigEndpoint, CertPath: s.CertPath}
}
