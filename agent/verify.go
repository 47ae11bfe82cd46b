package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/oidc"
)

// verifyIDToken checks the id_token of an answer (Core section 3.1.3.7) and returns whom it is about. Without one
// there is nothing to check: plain OAuth2 has none, and a provider may refuse the scope openid. A wrong one
// spoils the whole answer, which is wiped.
func (p *provider) verifyIDToken(ctx context.Context, r *oidc.TokenResponse, want oidc.IDTokenCheck) (subject string, err error) {
	if r.IDToken.IsEmpty() {
		return want.Subject, nil
	}
	subject, err = p.VerifyIDToken(ctx, r, want)
	if err != nil {
		r.Wipe()
		return "", fmt.Errorf("the answer of %s is refused: %w", p.Issuer, err)
	}
	return subject, nil
}

// verifyToken tells whether a JWT was signed by its issuer. Keys are fetched from issuers only with which the user has an
// account: else a token could send the agent anywhere, and everybody is the issuer of his own tokens.
func (a *agent) verifyToken(ctx context.Context, r request) (*cjson.Object, error) {
	token := r.Secret(ipc.KeyToken)
	defer token.Wipe()
	issuer, err := oidc.UnverifiedIssuer(token)
	if err != nil {
		return nil, err
	}
	if issuer == "" {
		return nil, &ipc.Failure{Text: "the token does not say who its issuer is"}
	}
	known := a.accountAt(issuer)
	if known == nil {
		return nil, &ipc.Failure{Text: "you have no account with the token's issuer " + strconv.Quote(issuer)}
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

// accountAt is a loaded account of an issuer, else what issuer.config says where it lists accounts of the user; nil
// where the user has none.
func (a *agent) accountAt(issuer string) *account.Account {
	if found := a.accounts.ofIssuer(issuer); len(found) > 0 {
		return found[0].config
	}
	settings := a.issuerSettings(issuer)
	if !slices.ContainsFunc(settings.Accounts, func(name string) bool { return name != "" }) {
		return nil
	}
	return &account.Account{IssuerURL: settings.Issuer, ConfigEndpoint: settings.ConfigEndpoint, CertPath: settings.CertPath}
}
