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

// login is a flow that oidc-gen has asked for. Once the flow waits for the user it also holds the account, as oidc-gen
// described it, and what the flow needs to finish. Its secrets are sealed, because the agent may be locked in the
// meantime.
type login struct {
	onlyAT      bool // an access token is wanted, and no account
	noWebserver bool
	noScheme    bool
	fromC       bool         // oidc-gen is the C tool, and will not send `saved`
	entry       crypt.Sealed // its pw_entry

	account *loaded
	id      string // device_code or state
	expires time.Time
	misses  atomic.Int32 // polls in a row that neither the provider nor a gateway in front of it could answer

	// Of the code flow only:
	redirectURI string
	listeners   []net.Listener // where the browser comes back; none if there is no web server
	verifier    crypt.Sealed
	nonce       string // that the id_token must have (Core section 3.1.2.1)

	// A browser may come twice, but a code that is presented twice costs the tokens that it gave (RFC 6749 section 4.1.2).
	redeeming sync.Mutex
	ended     atomic.Bool  // then one of these has been set:
	result    crypt.Sealed // the answer for oidc-gen; empty when oidc-gen has got it
	failed    error
}

// flow is a way to log in, under the name that oidc-gen -w gives it. The caller of start wipes the account.
type flow struct {
	name  string
	grant string // that a client needs for it (RFC 7591 section 2), besides refresh_token
	start func(*agent, context.Context, *provider, *account.Account, *login) (*cjson.Object, error)
}

var flows = [...]flow{
	{"code", oidc.GrantAuthorizationCode, (*agent).startCode},
	{"device", oidc.GrantDeviceCode, (*agent).startDevice},
	{"password", oidc.GrantPassword, (*agent).startPassword},
	{"refresh", "", (*agent).startRefresh},
}

// await keeps a login until it ends, and forgets those that nobody has finished.
func (a *agent) await(l *login) {
	for id, old := range a.logins.Range {
		if a.now().After(old.(*login).expires) {
			a.logins.Delete(id)
		}
	}
	a.logins.Store(l.id, l)
}

// login returns the login that waits under a state, or else under a device_code, or nil.
func (a *agent) login(id string, isState bool) *login {
	found, _ := a.logins.Load(id)
	if l, ok := found.(*login); ok && (l.redirectURI != "") == isState {
		return l
	}
	return nil
}

func (a *agent) gen(ctx context.Context, r request) (*cjson.Object, error) {
	c, err := r.config()
	if err != nil {
		return nil, err
	}
	defer c.Wipe()
	return a.startLogin(ctx, c, r.Texts(ipc.KeyFlow), &login{
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
		return nil, errors.New("Bad request. Required field 'account' not present.")
	}
	l, err := a.named(ctx, name, r.Bool(ipc.KeyNoAutoload))
	if err != nil {
		return nil, err
	}
	c, err := a.withSecrets(l)
	if err != nil {
		return nil, err
	}
	defer c.Wipe()
	return a.startLogin(ctx, c, []string{"device", "code"}, new(login))
}

// startLogin tries the flows in the user's order, and answers with the first that works.
func (a *agent) startLogin(ctx context.Context, c *account.Account, names []string, l *login) (*cjson.Object, error) {
	if len(names) == 0 {
		return nil, errNoFlowGiven
	}
	var chosen []flow
	for _, name := range names {
		i := slices.IndexFunc(flows[:], func(f flow) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("Unknown flow '%s'", name)
		}
		chosen = append(chosen, flows[i])
	}
	p, err := a.provider(ctx, c, true)
	if err != nil {
		return nil, err
	}
	c.AuthScope = loginScope(c)
	c.IssuerURL = p.Issuer
	c.ConfigEndpoint = p.ConfigurationEndpoint
	c.DeviceAuthorizationEndpoint = p.DeviceAuthorizationEndpoint
	failures := "No flow was successful."
	for _, f := range chosen {
		answer, err := f.start(a, ctx, p, c, l)
		if err == nil || len(chosen) == 1 {
			return answer, err
		}
		failures += fmt.Sprintf(" %s: %v.", f.name, err)
	}
	return nil, errors.New(failures)
}

// loginScope returns the scopes that the user wants, with openid (OpenID Connect Core section 3.1.2.1) and
// offline_access (section 11), which every account needs.
func loginScope(c *account.Account) string {
	scopes := strings.Fields(c.AuthScope)
	if !c.OAuth2 && !slices.Contains(scopes, "openid") {
		scopes = append(scopes, "openid")
	}
	// Google issues refresh tokens without this scope, and refuses it.
	isGoogle := account.SameIssuer(c.IssuerURL, "https://accounts.google.com")
	if !isGoogle && !slices.Contains(scopes, "offline_access") {
		scopes = append(scopes, "offline_access")
	}
	return strings.Join(scopes, " ")
}

// resume opens the provider and the account of a login that waits. The caller wipes the account.
func (a *agent) resume(ctx context.Context, l *login) (*provider, *account.Account, error) {
	c, err := a.withSecrets(l.account)
	if err != nil {
		return nil, nil, err
	}
	p, err := a.provider(ctx, c, false)
	if err != nil {
		c.Wipe()
	}
	return p, c, err
}

func (a *agent) startDevice(ctx context.Context, p *provider, c *account.Account, l *login) (*cjson.Object, error) {
	d, err := p.AuthorizeDevice(ctx, c.AuthScope)
	if err != nil {
		return nil, err
	}
	l.account, l.id = a.newLoaded(c), string(d.DeviceCode.Reveal())
	l.expires = a.now().Add(time.Duration(d.ExpiresIn) * time.Second)
	a.await(l)
	device := cjson.New().SetSecret("device_code", d.DeviceCode).SetText("user_code", d.UserCode).
		SetText("verification_uri", d.VerificationURI).
		SetOptional("verification_uri_complete", d.VerificationURIComplete).
		SetInt("expires_in", d.ExpiresIn).SetInt("interval", d.Interval)
	return cjson.New().SetText(ipc.KeyStatus, ipc.StatusAccepted).SetObject(ipc.KeyOIDCDevice, device), nil
}

// maxMisses is how many polls in a row a device login may miss while the provider is away: about half a minute.
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
	p, c, err := a.resume(ctx, l)
	if err != nil {
		return nil, err
	}
	defer c.Wipe()
	response, err := p.PollDevice(ctx, code, tokenParameters(c, tokenRequest{}))
	refused, answered := errors.AsType[*oidc.Error](err)
	_, temporary := oidc.Temporary(err)
	switch {
	case err == nil:
		a.logins.Delete(l.id)
		return a.finishLogin(ctx, p, c, l, response)
	case answered && (refused.Code == oidc.CodeAuthorizationPending || refused.Code == oidc.CodeSlowDown):
		l.misses.Store(0)
		return nil, errors.New(refused.Code) // oidc-gen and the C clients compare the bare code
	case temporary && l.misses.Add(1) <= maxMisses: // RFC 8628 section 3.5: poll less often after a timeout
		a.log.warning("account %q: asking the provider again later: %v", c.Name, err)
		return nil, &ipc.Failure{Text: oidc.CodeSlowDown, Info: "Asking the provider again later: " + err.Error()}
	case answered && refused.Code != "":
		a.logins.Delete(l.id)
	}
	return nil, err
}

// startRefresh logs in with a refresh token that the user has. An answer that is otherwise no good may hold the
// only refresh token that is still valid: the account is then made with that one, and without a first access token.
func (a *agent) startRefresh(ctx context.Context, p *provider, c *account.Account, l *login) (*cjson.Object, error) {
	given := c.RefreshToken
	if given.IsEmpty() {
		return nil, errNoRefreshToken
	}
	response, err := p.Refresh(ctx, given, tokenParameters(c, tokenRequest{}))
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
		answer, err = a.finishLogin(ctx, p, c, l, response)
	}
	if err == nil || l.onlyAT || next.IsEmpty() {
		return answer, err
	}
	a.log.warning("account %q: only the new refresh token of the answer is used: %v", c.Name, err)
	return a.finishLogin(ctx, p, c, l, &oidc.TokenResponse{RefreshToken: next})
}

func (a *agent) startPassword(ctx context.Context, p *provider, c *account.Account, l *login) (*cjson.Object, error) {
	parameters := tokenParameters(c, tokenRequest{scope: c.AuthScope})
	response, err := p.Password(ctx, c.Username, c.Password, parameters)
	if err != nil {
		return nil, err
	}
	return a.finishLogin(ctx, p, c, l, response)
}

// finishLogin loads the account that a flow has completed and answers with it, so that oidc-gen can save it. If only an
// access token is wanted, the answer is that.
func (a *agent) finishLogin(ctx context.Context, p *provider, c *account.Account, l *login,
	response *oidc.TokenResponse,
) (*cjson.Object, error) {
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
		return nil, errors.New("OIDP response does not contain a refresh token")
	}
	c.RefreshToken.Wipe()
	c.RefreshToken = response.RefreshToken
	c.RefreshScope = c.AuthScope
	if response.HasScope {
		c.RefreshScope = response.Scope
	}
	c.Password.Wipe()
	c.Username, c.Password = "", secret.Secret{}
	object := c.Object()
	defer object.Wipe()
	answer := ipc.Success("").SetObject(ipc.KeyConfig, object)
	made := a.newLoaded(c)
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
