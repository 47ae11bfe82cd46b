package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

// login is a flow that was started and waits for the user: the account as oidc-gen described it, and what the
// flow needs to end. Its secrets are sealed, for an agent may be locked meanwhile.
type login struct {
	account *loaded
	id      string // device_code or state
	options loginOptions
	expires time.Time

	// of the code flow
	redirectURI string
	verifier    crypt.Sealed
	nonce       string    // the id_token of this login has it (Core section 3.1.2.1)
	server      *callback // nil where nobody listens

	// A browser may come twice, and a code that is presented twice costs the tokens that it gave (RFC 6749 section 4.1.2).
	redeeming atomic.Bool
	ended     atomic.Bool  // and so what follows is known:
	result    crypt.Sealed // the answer for oidc-gen
	failed    error
	fetched   atomic.Bool // oidc-gen has got the answer
}

// loginOptions are what gen says besides the account and the flows.
type loginOptions struct {
	onlyAT      bool // an access token is wanted, and no account
	noWebserver bool
	noScheme    bool
	entry       crypt.Sealed // pw_entry of a C oidc-gen
	fromC       bool         // oidc-gen is C's, and will not say `saved`
}

// attempt is a login that is worked at: its provider, and the account with its secrets, which the maker wipes.
type attempt struct {
	*provider
	config  *account.Account
	options loginOptions
	nonce   string // of the code flow
}

// flow is a way to log in, by the name that oidc-gen -w gives it.
type flow struct {
	name  string
	grant string // that a client needs for it (RFC 7591 section 2), besides refresh_token
	start func(*agent, context.Context, attempt) (*cjson.Object, error)
}

var flows = [...]flow{
	{"code", oidc.GrantAuthorizationCode, (*agent).startCode},
	{"device", oidc.GrantDeviceCode, (*agent).startDevice},
	{"password", oidc.GrantPassword, (*agent).loginByPassword},
	{"refresh", "", (*agent).loginByRefreshToken},
}

// await keeps a login until it ends, and forgets those that nobody finished.
func (a *agent) await(l *login) {
	for id, old := range a.logins.Range {
		if a.now().After(old.(*login).expires) {
			a.logins.Delete(id)
		}
	}
	a.logins.Store(l.id, l)
}

// login returns what waits under a device_code or state, or nil.
func (a *agent) login(id string) *login {
	found, _ := a.logins.Load(id)
	l, _ := found.(*login)
	return l
}

func (a *agent) gen(ctx context.Context, r request) (*cjson.Object, error) {
	config, err := r.config()
	if err != nil {
		return nil, err
	}
	defer config.Wipe()
	return a.startLogin(ctx, config, r.Texts(ipc.KeyFlow), loginOptions{
		onlyAT:      r.Bool(ipc.KeyOnlyAT),
		entry:       a.sealEntry(r),
		fromC:       r.Has(ipc.KeyPwEntry),
		noWebserver: r.Bool(ipc.KeyNoWebserver),
		noScheme:    r.Bool(ipc.KeyNoScheme),
	})
}

// reauthenticate starts a new login for a loaded account.
func (a *agent) reauthenticate(ctx context.Context, r request) (*cjson.Object, error) {
	name := r.Text(ipc.KeyAccount)
	if name == "" {
		return nil, errAccountMissing
	}
	l, err := a.named(ctx, name, r.Bool(ipc.KeyNoAutoload))
	if err != nil {
		return nil, err
	}
	config, err := a.withSecrets(l)
	if err != nil {
		return nil, err
	}
	defer config.Wipe()
	return a.startLogin(ctx, config, []string{"device", "code"}, loginOptions{})
}

// startLogin tries the flows in the order that the user gave and answers with the first that works.
func (a *agent) startLogin(ctx context.Context, config *account.Account, names []string, o loginOptions) (*cjson.Object, error) {
	if len(names) == 0 {
		return nil, errNoFlowGiven
	}
	var chosen []flow
	for _, name := range names {
		i := slices.IndexFunc(flows[:], func(f flow) bool { return f.name == name })
		if i < 0 {
			return nil, &ipc.Failure{Text: fmt.Sprintf("Unknown flow '%s'", name)}
		}
		chosen = append(chosen, flows[i])
	}
	p, err := a.provider(ctx, config, true)
	if err != nil {
		return nil, err
	}
	config.AuthScope = loginScope(config)
	config.IssuerURL = p.metadata.Issuer
	config.ConfigEndpoint = p.metadata.ConfigurationEndpoint
	config.DeviceAuthorizationEndpoint = p.metadata.DeviceAuthorizationEndpoint
	failures := errNoFlow.Text
	for _, f := range chosen {
		answer, err := f.start(a, ctx, attempt{provider: p, config: config, options: o})
		if err == nil || len(chosen) == 1 {
			return answer, err
		}
		failures += fmt.Sprintf(" %s: %v.", f.name, err)
	}
	return nil, &ipc.Failure{Text: failures}
}

// loginScope is what the user wants, with openid (OpenID Connect Core section 3.1.2.1) and offline_access
// (section 11) that every account needs, whether or not he named them.
func loginScope(config *account.Account) string {
	scopes := strings.Fields(config.AuthScope)
	if !config.OAuth2 && !slices.Contains(scopes, "openid") {
		scopes = append(scopes, "openid")
	}
	// Google gives refresh tokens without this scope, and refuses it.
	if !slices.Contains(scopes, "offline_access") && !account.SameIssuer(config.IssuerURL, "https://accounts.google.com") {
		scopes = append(scopes, "offline_access")
	}
	return strings.Join(scopes, " ")
}

// resume goes on with a login that waits.
func (a *agent) resume(ctx context.Context, l *login) (attempt, error) {
	config, err := a.withSecrets(l.account)
	if err != nil {
		return attempt{}, err
	}
	p, err := a.provider(ctx, config, false)
	if err != nil {
		config.Wipe()
	}
	return attempt{p, config, l.options, l.nonce}, err
}

func (a *agent) startDevice(ctx context.Context, t attempt) (*cjson.Object, error) {
	d, err := t.AuthorizeDevice(ctx, t.metadata, a.credentials(t.config), t.config.AuthScope)
	if err != nil {
		return nil, err
	}
	a.await(&login{
		account: a.newLoaded(t.config), id: string(d.DeviceCode.Reveal()), options: t.options,
		expires: a.now().Add(time.Duration(d.ExpiresIn) * time.Second),
	})
	device := cjson.New().SetSecret("device_code", d.DeviceCode).SetText("user_code", d.UserCode).
		SetText("verification_uri", d.VerificationURI)
	if d.VerificationURIComplete != "" {
		device.SetText("verification_uri_complete", d.VerificationURIComplete)
	}
	device.SetInt("expires_in", d.ExpiresIn).SetInt("interval", d.Interval)
	return cjson.New().SetText(ipc.KeyStatus, ipc.StatusAccepted).SetObject(ipc.KeyOIDCDevice, device), nil
}

// device asks the provider once whether the user has approved (RFC 8628 section 3.4).
func (a *agent) device(ctx context.Context, r request) (*cjson.Object, error) {
	device := r.Object.Object(ipc.KeyOIDCDevice)
	if device == nil {
		return nil, errWrongDeviceCode
	}
	code := device.Secret("device_code")
	defer code.Wipe()
	l := a.login(string(code.Reveal()))
	if l == nil || l.redirectURI != "" { // of a code flow
		return nil, errWrongDeviceCode
	}
	t, err := a.resume(ctx, l)
	if err != nil {
		return nil, err
	}
	defer t.config.Wipe()
	response, err := t.PollDevice(ctx, t.metadata, a.credentials(t.config), code, a.tokenParameters(t.config, tokenRequest{}))
	refused, answered := errors.AsType[*oidc.Error](err)
	switch {
	case err == nil:
		a.logins.Delete(l.id)
		return a.finishLogin(ctx, t, response)
	case answered && (refused.Code == oidc.CodeAuthorizationPending || refused.Code == oidc.CodeSlowDown):
		return nil, errors.New(refused.Code) // oidc-gen and the C clients compare the bare code
	case answered && !refused.Temporary():
		a.logins.Delete(l.id)
	}
	return nil, err
}

// loginByRefreshToken takes the refresh token that the user has. An answer that is faulty otherwise may hold the only
// one that is good now: the account is made with that, and without a first access token.
func (a *agent) loginByRefreshToken(ctx context.Context, t attempt) (*cjson.Object, error) {
	given := t.config.RefreshToken
	if given.IsEmpty() {
		return nil, errNoRefreshToken
	}
	response, err := t.Refresh(ctx, t.metadata, a.credentials(t.config), given, a.tokenParameters(t.config, tokenRequest{}))
	if response == nil {
		return nil, err
	}
	next := response.RefreshToken.Clone()
	defer next.Wipe()
	var answer *cjson.Object
	if err == nil {
		if next.IsEmpty() {
			response.RefreshToken = given.Clone()
		}
		answer, err = a.finishLogin(ctx, t, response)
	}
	if err == nil || t.options.onlyAT || next.IsEmpty() {
		return answer, err
	}
	a.log.warning("account %q: only the new refresh token is taken: %v", t.config.Name, err)
	return a.finishLogin(ctx, t, &oidc.TokenResponse{RefreshToken: next})
}

func (a *agent) loginByPassword(ctx context.Context, t attempt) (*cjson.Object, error) {
	parameters := a.tokenParameters(t.config, tokenRequest{scope: t.config.AuthScope})
	response, err := t.Password(ctx, t.metadata, a.credentials(t.config), t.config.Username, t.config.Password, parameters)
	if err != nil {
		return nil, err
	}
	return a.finishLogin(ctx, t, response)
}

// finishLogin loads the account that a flow has completed and answers with it, so that oidc-gen can save it;
// or with the access token alone, where nothing more was asked for.
func (a *agent) finishLogin(ctx context.Context, t attempt, response *oidc.TokenResponse) (*cjson.Object, error) {
	config := t.config
	subject, err := t.verifyIDToken(ctx, response, oidc.IDTokenCheck{ClientID: config.ClientID, Nonce: t.nonce})
	if err != nil {
		return nil, err
	}
	first := a.tokenFrom(t.provider, response)
	switch {
	case t.options.onlyAT:
		response.Wipe()
		return a.openObject(first.answer)
	case response.RefreshToken.IsEmpty():
		return nil, errNoNewToken
	}
	config.RefreshToken.Wipe()
	config.RefreshToken = response.RefreshToken
	config.RefreshScope = config.AuthScope
	if response.HasScope {
		config.RefreshScope = response.Scope
	}
	config.Password.Wipe()
	config.Username, config.Password = "", secret.Secret{}
	object := config.Object()
	defer object.Wipe()
	answer := ipc.Success("").SetObject(ipc.KeyConfig, object)
	l := a.newLoaded(config)
	l.subject = subject
	l.file.entry = t.options.entry
	if !first.answer.IsEmpty() {
		l.tokens[tokenKey{}] = first
	}
	a.replace(l)
	if t.options.fromC {
		a.noteIssuer(l.config, account.AddAccount)
	}
	return answer, nil
}
