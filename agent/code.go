package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

// codeLifetime is how long the user may take in the browser.
const codeLifetime = 10 * time.Minute

// startCode starts the authorization code flow (RFC 6749 section 4.1) with PKCE (RFC 7636): it answers with the URL for
// the browser, and listens where the provider will send the browser afterwards (RFC 8252 section 7.3).
func (a *agent) startCode(_ context.Context, p *provider, c *account.Account, l *login) (*cjson.Object, error) {
	redirectURI, listeners, err := a.openCallback(c.RedirectURIs, l)
	if err != nil {
		return nil, err
	}
	verifier, challenge := oidc.NewPKCE()
	nonce := rand.Text()[:24]
	state := newState(redirectURI, a.socketPath, l.onlyAT)
	uri, err := p.AuthorizationURL(oidc.AuthorizationRequest{
		RedirectURI: redirectURI, Scope: c.AuthScope, State: state, Nonce: nonce, CodeChallenge: challenge,
		Audience: tokenParameters(c, tokenRequest{}).Audience,
	})
	if err != nil {
		closeAll(listeners)
		return nil, err
	}
	l.account, l.id, l.expires = a.newLoaded(c), state, a.now().Add(codeLifetime)
	l.redirectURI, l.listeners, l.verifier, l.nonce = redirectURI, listeners, a.sealer.Seal(verifier), nonce
	a.await(l)
	a.serveCallback(l)
	return cjson.New().SetText(ipc.KeyStatus, ipc.StatusAccepted).
		SetText(ipc.KeyURI, uri).SetText(ipc.KeyState, state), nil
}

// newState returns a state that nobody can guess and by which oidc-gen --codeExchange finds the agent that started the
// flow: S:O, 24 random characters, the length of the socket's path, and the path. S is 1 if the redirect URI ends in a
// slash, O if the flow ends with an access token only.
func newState(redirectURI, socketPath string, onlyAT bool) string {
	return fmt.Sprintf("%d:%d%s:%d:%s", ipc.Flag(strings.HasSuffix(redirectURI, "/")), ipc.Flag(onlyAT), rand.Text()[:24],
		len(socketPath), base64.RawURLEncoding.EncodeToString([]byte(socketPath)))
}

// codeExchange finishes a code flow with the URL that the browser was sent to, which the user has copied.
func (a *agent) codeExchange(ctx context.Context, r request) (*cjson.Object, error) {
	came, err := url.Parse(r.Text(ipc.KeyRedirectURI))
	if err != nil {
		return nil, errors.New("redirected uri is malformed") // the error of url.Parse repeats the code
	}
	query := came.Query()
	state := query.Get("state")
	switch {
	case state == "":
		return nil, errors.New("redirected uri did not contain state parameter")
	case query.Get("code") == "" && query.Get("error") == "":
		return nil, errors.New("redirected uri did not contain code parameter")
	}
	l := a.login(state, true)
	if l == nil {
		return nil, errWrongState
	}
	if err := a.redeem(ctx, l, came.RawQuery); err != nil {
		return nil, err
	}
	return a.takeResult(l)
}

// redeem takes the query that the browser came with, and keeps the result until oidc-gen asks for it. The flow goes on
// waiting if the query cannot be the provider's answer to it.
func (a *agent) redeem(ctx context.Context, l *login, query string) error {
	l.redeeming.Lock()
	defer l.redeeming.Unlock()
	switch {
	case l.ended.Load():
		return errWrongState
	case a.now().After(l.expires):
		return errors.New("this login was started too long ago")
	}
	p, c, err := a.resume(ctx, l)
	if err != nil {
		return err
	}
	defer c.Wipe()
	code, err := p.ParseAuthorizationResponse(query, l.id)
	if err == nil {
		err = a.exchange(ctx, p, c, l, code)
	} else if _, refused := errors.AsType[*oidc.Error](err); !refused {
		return err
	}
	l.failed = err
	l.ended.Store(true)
	closeAll(l.listeners)
	return err
}

// exchange exchanges the code and seals the answer for oidc-gen.
func (a *agent) exchange(ctx context.Context, p *provider, c *account.Account, l *login, code secret.Secret) error {
	verifier, err := a.sealer.Open(l.verifier)
	if err != nil {
		return err
	}
	defer verifier.Wipe()
	response, err := p.ExchangeCode(ctx, code, l.redirectURI, verifier, tokenParameters(c, tokenRequest{}))
	if err != nil {
		return err
	}
	answer, err := a.finishLogin(ctx, p, c, l, response)
	if err != nil {
		return err
	}
	l.result = a.sealer.Seal(secret.New(answer.Compact()))
	answer.Wipe()
	return nil
}

// stateLookup tells oidc-gen whether the browser has come back.
func (a *agent) stateLookup(_ context.Context, r request) (*cjson.Object, error) {
	state := r.Text(ipc.KeyState)
	if strings.Count(state, ":") < 2 {
		return nil, errors.New("state malformed")
	}
	if l := a.login(state, true); l != nil && l.ended.Load() {
		return a.takeResult(l)
	}
	return cjson.New().SetText(ipc.KeyStatus, ipc.StatusNotFound).
		SetText(ipc.KeyInfo, "No loaded account info found for state="+state), nil
}

// takeResult returns the result of a flow, once.
func (a *agent) takeResult(l *login) (*cjson.Object, error) {
	l.redeeming.Lock()
	defer l.redeeming.Unlock()
	switch {
	case l.failed != nil:
		return nil, l.failed
	case l.result.IsEmpty():
		return cjson.New().SetText(ipc.KeyStatus, ipc.StatusFoundButReceived).
			SetText(ipc.KeyInfo, "Account config already retrieved"), nil
	}
	result := l.result
	l.result = crypt.Sealed{}
	return a.openObject(result) // wiped when it has been sent
}

// termHTTPServer ends the web server of a flow.
func (a *agent) termHTTPServer(_ context.Context, r request) (*cjson.Object, error) {
	if l := a.login(r.Text(ipc.KeyState), true); l != nil {
		closeAll(l.listeners)
	}
	return nil, nil
}
