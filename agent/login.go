package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

// login is a flow: what oidc-gen says besides the account and, once it was started and waits for the user, the account
// as oidc-gen described it and what the flow needs to end. Its secrets are sealed, for an agent may be locked meanwhile.
type login struct {
	onlyAT      bool // an access token is wanted, and no account
	noWebserver bool
	noScheme    bool
	fromC       bool         // oidc-gen is C's, and will not say `saved`
	entry       crypt.Sealed // its pw_entry

	account *loaded
	id      string // device_code or state
	expires time.Time
	misses  atomic.Int32 // polls in a row that the provider, or a gateway before it, could not answer

	// of the code flow
	redirectURI string
	listeners   []net.Listener // where the browser comes back; none where nobody listens
	verifier    crypt.Sealed
	nonce       string // the id_token of this login has it (Core section 3.1.2.1)

	// A browser may come twice, and a code that is presented twice costs the tokens that it gave (RFC 6749 section 4.1.2).
	redeeming sync.Mutex
	ended     atomic.Bool  // and so what follows is known:
	result    crypt.Sealed // the answer for oidc-gen; empty once that has got it
	failed    error
}

// flow is a way to log in, by the name that oidc-gen -w gives it. Who starts it wipes the account's secrets.
type flow struct {
	name  string
	grant string // that a client needs for it (RFC 7591 section 2), besides refresh_token
	start func(*agent, context.Context, *provider, *account.Account, *login) (*cjson.Object, error)
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

// login returns what waits under a state, or else under a device_code; nil if nothing does.
func (a *agent) login(id string, isState bool) *login {
	found, _ := a.logins.Load(id)
	if l, ok := found.(*login); ok && (l.redirectURI != "") == isState {
		return l
	}
	return nil
}

func (a *agent) gen(ctx context.Context, r request) (*cjson.Object, error) {
	config, err := r.config()
	if err != nil {
		return nil, err
	}
	defer config.Wipe()
	return a.startLogin(ctx, config, r.Texts(ipc.KeyFlow), &login{
		onlyAT:      r.Bool(ipc.KeyOnlyAT),
		fromC:       r.Has(ipc.KeyPwEntry),
		entry:       a.sealEntry(r),
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
	return a.startLogin(ctx, config, []string{"device", "code"}, new(login))
}

// startLogin tries the flows in the order that the user gave and answers with the first that works.
func (a *agent) startLogin(ctx context.Context, config *account.Account, names []string, l *login) (*cjson.Object, error) {
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
	config.IssuerURL = p.Issuer
	config.ConfigEndpoint = p.ConfigurationEndpoint
	config.DeviceAuthorizationEndpoint = p.DeviceAuthorizationEndpoint
	failures := errNoFlow.Text
	for _, f := range chosen {
		answer, err := f.start(a, ctx, p, config, l)
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

// resume opens what a login that waits needs to go on. The caller wipes the account.
func (a *agent) resume(ctx context.Context, l *login) (*provider, *account.Account, error) {
	config, err := a.withSecrets(l.account)
	if err != nil {
		return nil, nil, err
	}
	p, err := a.provider(ctx, config, false)
	if err != nil {
		config.Wipe()
	}
	return p, config, err
}

func (a *agent) startDevice(ctx context.Context, p *provider, config *account.Account, l *login) (*cjson.Object, error) {
	d, err := p.AuthorizeDevice(ctx, config.AuthScope)
	if err != nil {
		return nil, err
	}
	l.account, l.id, l.expires = a.newLoaded(config), string(d.DeviceCode.Reveal()), a.now().Add(time.Duration(d.ExpiresIn)*time.Second)
	a.await(l)
	device := cjson.New().SetSecret("device_code", d.DeviceCode).SetText("user_code", d.UserCode).
		SetText("verification_uri", d.VerificationURI)
	if d.VerificationURIComplete != "" {
		device.SetText("verification_uri_complete", d.VerificationURIComplete)
	}
	device.SetInt("expires_in", d.ExpiresIn).SetInt("interval", d.Interval)
	return cjson.New().SetText(ipc.KeyStatus, ipc.StatusAccepted).SetObject(ipc.KeyOIDCDevice, device), nil
}

// maxMisses is how often in a row a device login waits for a provider that is away, which takes about half a minute.
const maxMisses = 3

// device asks the provider once whether the user has approved (RFC 8628 section 3.4).
func (a *agent) device(ctx context.Context, r request) (*cjson.Object, error) {
	device := r.Object.Object(ipc.KeyOIDCDevice)
	if device == nil {
		return nil, errWrongDeviceCode
	}
	code := device.Secret("device_code")
	defer code.Wipe()
	l := a.login(string(code.Reveal()), false)
	if l == nil {
		return nil, errWrongDeviceCode
	}
	p, config, err := a.resume(ctx, l)
	if err != nil {
		return nil, err
	}
	defer config.Wipe()
	response, err := p.PollDevice(ctx, code, tokenParameters(config, tokenRequest{}))
	refused, answered := errors.AsType[*oidc.Error](err)
	_, passes := oidc.Temporary(err)
	switch {
	case err == nil:
		a.logins.Delete(l.id)
		return a.finishLogin(ctx, p, config, l, response)
	case answered && (refused.Code == oidc.CodeAuthorizationPending || refused.Code == oidc.CodeSlowDown):
		l.misses.Store(0)
		return nil, errors.New(refused.Code) // oidc-gen and the C clients compare the bare code
	case passes && l.misses.Add(1) <= maxMisses: // RFC 8628 section 3.5: after a timeout less often
		a.log.warning("account %q: whether the user has approved is asked again later: %v", config.Name, err)
		return nil, &ipc.Failure{Text: oidc.CodeSlowDown, Info: "The provider is asked again later: " + err.Error()}
	case answered && refused.Code != "":
		a.logins.Delete(l.id)
	}
	return nil, err
}

// loginByRefreshToken takes the refresh token that the user has. An answer that is faulty otherwise may hold the only
// one that is good now: the account is made with that, and without a first access token.
func (a *agent) loginByRefreshToken(ctx context.Context, p *provider, config *account.Account, l *login) (*cjson.Object, error) {
	given := config.RefreshToken
	if given.IsEmpty() {
		return nil, errNoRefreshToken
	}
	response, err := p.Refresh(ctx, given, tokenParameters(config, tokenRequest{}))
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
		answer, err = a.finishLogin(ctx, p, config, l, response)
	}
	if err == nil || l.onlyAT || next.IsEmpty() {
		return answer, err
	}
	a.log.warning("account %q: only the new refresh token is taken: %v", config.Name, err)
	return a.finishLogin(ctx, p, config, l, &oidc.TokenResponse{RefreshToken: next})
}

func (a *agent) loginByPassword(ctx context.Context, p *provider, config *account.Account, l *login) (*cjson.Object, error) {
	parameters := tokenParameters(config, tokenRequest{scope: config.AuthScope})
	response, err := p.Password(ctx, config.Username, config.Password, parameters)
	if err != nil {
		return nil, err
	}
	return a.finishLogin(ctx, p, config, l, response)
}

// finishLogin loads the account that a flow has completed and answers with it, so that oidc-gen can save it;
// or with the access token alone, where nothing more was asked for.
func (a *agent) finishLogin(ctx context.Context, p *provider, config *account.Account, l *login, response *oidc.TokenResponse) (*cjson.Object, error) {
	subject, err := p.verifyIDToken(ctx, response, oidc.IDTokenCheck{Nonce: l.nonce})
	if err != nil {
		return nil, err
	}
	first := a.tokenFrom(p, response)
	switch {
	case l.onlyAT:
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
	made := a.newLoaded(config)
	made.subject, made.file.entry = subject, l.entry
	if !first.answer.IsEmpty() {
		made.tokens[tokenKey{}] = first
	}
	a.replace(made)
	if l.fromC {
		a.noteIssuer(made.config, true)
	}
	return answer, nil
}
