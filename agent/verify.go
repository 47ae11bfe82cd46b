package main

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/oidc"
)

var errNoIssuerClaim = &ipc.Failure{Text: "the token does not say who its issuer is"}

// verifyToken tells whether a JWT was signed by its issuer. Keys are fetched from issuers only with which the user has an
// account: else a token could send the agent anywhere, and everybody is the issuer of his own tokens.
func (a *agent) verifyToken(ctx context.Context, r request) (*cjson.Object, error) {
	ctx, cancel := patience(ctx, r)
	defer cancel()
	token := r.Secret(ipc.KeyToken)
	defer token.Wipe()
	issuer, err := oidc.UnverifiedIssuer(token)
	if err != nil {
		return nil, err
	}
	if issuer == "" {
		return nil, errNoIssuerClaim
	}
	known := a.accountAt(issuer)
	if known == nil {
		return nil, &ipc.Failure{Text: "you have no account with the token's issuer " + strconv.Quote(issuer)}
	}
	p, err := a.provider(ctx, known, false)
	if err != nil {
		return nil, err
	}
	err = p.VerifySignature(ctx, p.metadata, token)
	answer := ipc.Success("").SetText(ipc.KeyIssuer, p.metadata.Issuer).SetInt(ipc.KeyValid, ipc.Flag(err == nil))
	if invalid := new(oidc.InvalidSignatureError); errors.As(err, &invalid) {
		return answer.SetText(ipc.KeyInfo, err.Error()), nil
	}
	return answer, err
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
