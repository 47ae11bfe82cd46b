package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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
	nonce       string       // the id_token of this login has it (Core section 3.1.2.1)
	server      *callback    // nil where nobody listens
	redeeming   bool         // the browser has come back; a code is good once
	result      crypt.Sealed // the answer for oidc-gen, once the code is exchanged
	failed      error
	fetched     bool
}

// logins are the started flows, by device_code or state.
type logins struct {
	mu   sync.Mutex
	list map[string]*login
}

// put adds a login and forgets those that nobody finished.
func (s *logins) put(l *login, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list == nil {
		s.list = make(map[string]*login)
	}
	for id, old := range s.list {
		if now.After(old.expires) {
			old.server.stop()
			delete(s.list, id)
		}
	}
	s.list[l.id] = l
}

func (s *logins) find(id string) *login {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[id]
}

func (s *logins) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.list, id)
}

// flow is one way to log in, by the name that oidc-gen -w gives it.
type flow struct {
	name  string
	start func(*agent, context.Context, *provider, *account.Account, loginOptions) (*cjson.Object, error)
}

// loginOptions are what gen says besides the account and the flows.
type loginOptions struct {
	onlyAT      bool // an access token is wanted, and no account
	noWebserver bool
	noScheme    bool
	entry       crypt.Sealed // pw_entry of a C oidc-gen
	fromC       bool         // oidc-gen is C's, and will not say `saved`
}

var flows = [...]flow{
	{"code", (*agent).startCode},
	{"device", (*agent).startDevice},
	{"refresh", (*agent).loginByRefreshToken},
	{"password", (*agent).loginByPassword},
}

func flowNamed(name string) int {
	return slices.IndexFunc(flows[:], func(f flow) bool { return f.name == name })
}

// startLogin tries the flows in the order that the user gave and answers with the first that works.
func (a *agent) startLogin(ctx context.Context, config *account.Account, names []string, o loginOptions) (*cjson.Object, error) {
	for _, name := range names {
		if flowNamed(name) < 0 {
			return nil, &ipc.Failure{Text: fmt.Sprintf("Unknown flow '%s'", name)}
		}
	}
	p, err := a.provider(ctx, config, true)
	if err != nil {
		return nil, err
	}
	config.AuthScope = loginScope(config)
	config.IssuerURL = p.metadata.Issuer
	config.ConfigEndpoint = p.metadata.ConfigurationEndpoint
	config.DeviceAuthorizationEndpoint = p.metadata.DeviceAuthorizationEndpoint
	var failures []error
	for _, name := range names {
		answer, err := flows[flowNamed(name)].start(a, ctx, p, config, o)
		if err == nil {
			return answer, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", name, err))
	}
	if len(failures) == 1 {
		return nil, errors.Unwrap(failures[0])
	}
	text := errNoFlow.Text
	for _, failure := range failures {
		text += " " + failure.Error() + "."
	}
	return nil, &ipc.Failure{Text: text}
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

// loginParameters are the audience of the account, at login.
func (a *agent) loginParameters(config *account.Account) oidc.TokenRequest {
	return a.tokenParameters(config, tokenRequest{audience: config.Audience})
}

func (a *agent) startDevice(ctx context.Context, p *provider, config *account.Account, o loginOptions) (*cjson.Object, error) {
	d, err := p.AuthorizeDevice(ctx, p.metadata, a.credentials(config), loginScope(config))
	if err != nil {
		return nil, err
	}
	expires := a.now().Add(time.Duration(d.ExpiresIn) * time.Second)
	a.logins.put(&login{
		account: a.newLoaded(config), id: string(d.DeviceCode.Reveal()), options: o, expires: expires,
	}, a.now())
	device := cjson.New().SetSecret("device_code", d.DeviceCode).SetText("user_code", d.UserCode).
		SetText("verification_uri", d.VerificationURI)
	if d.VerificationURIComplete != "" {
		device.SetText("verification_uri_complete", d.VerificationURIComplete)
	}
	device.SetInt("expires_in", d.ExpiresIn).SetInt("interval", d.Interval)
	return cjson.New().SetText("status", ipc.StatusAccepted).SetObject("oidc_device", device), nil
}

// pollDevice asks the provider once whether the user has approved (RFC 8628 section 3.4).
func (a *agent) pollDevice(ctx context.Context, device string) (*cjson.Object, error) {
	l := a.logins.find(device)
	if l == nil || l.redirectURI != "" { // of a code flow
		return nil, errWrongDeviceCode
	}
	config, err := a.withSecrets(l.account)
	if err != nil {
		return nil, err
	}
	p, err := a.provider(ctx, config, false)
	if err != nil {
		config.Wipe()
		return nil, err
	}
	response, err := p.PollDevice(ctx, p.metadata, a.credentials(config), secret.FromString(device), a.loginParameters(config))
	if err == nil {
		a.logins.remove(device)
		return a.finishLogin(ctx, p, config, response, "", l.options)
	}
	config.Wipe()
	var refused *oidc.Error
	switch {
	case errors.As(err, &refused) && (refused.Code == oidc.CodeAuthorizationPending || refused.Code == oidc.CodeSlowDown):
		return nil, errors.New(refused.Code) // oidc-gen and the C clients compare the bare code
	case errors.As(err, &refused) && !refused.Temporary():
		a.logins.remove(device)
	}
	return nil, err
}

// loginByRefreshToken takes the refresh token that the user has. An answer that is faulty otherwise may hold the only
// one that is good now: the account is made with that, and without a first access token.
func (a *agent) loginByRefreshToken(ctx context.Context, p *provider, config *account.Account, o loginOptions) (*cjson.Object, error) {
	if config.RefreshToken.IsEmpty() {
		return nil, errNoRefreshToken
	}
	response, err := p.Refresh(ctx, p.metadata, a.credentials(config), config.RefreshToken, a.loginParameters(config))
	if response == nil {
		return nil, err
	}
	next := response.RefreshToken.Clone()
	defer next.Wipe()
	if err == nil {
		_, err = p.verifyIDToken(ctx, config, response, oidc.IDTokenCheck{})
	}
	switch {
	case err != nil && (o.onlyAT || next.IsEmpty()):
		return nil, err
	case err != nil:
		a.log.warning("account %q: only the new refresh token is taken: %v", config.Name, err)
		response = &oidc.TokenResponse{RefreshToken: next}
	case next.IsEmpty():
		response.RefreshToken = config.RefreshToken.Clone()
	}
	return a.finishLogin(ctx, p, config, response, "", o)
}

func (a *agent) loginByPassword(ctx context.Context, p *provider, config *account.Account, o loginOptions) (*cjson.Object, error) {
	parameters := a.loginParameters(config)
	parameters.Scope = loginScope(config)
	response, err := p.Password(ctx, p.metadata, a.credentials(config), config.Username, config.Password, parameters)
	if err != nil {
		return nil, err
	}
	return a.finishLogin(ctx, p, config, response, "", o)
}

// finishLogin loads the account that a flow has completed and answers with it, so that oidc-gen can save it;
// or with the access token alone, where nothing more was asked for. nonce is that of the flow, where it sent one.
func (a *agent) finishLogin(ctx context.Context, p *provider, config *account.Account, response *oidc.TokenResponse, nonce string, o loginOptions) (*cjson.Object, error) {
	subject, err := p.verifyIDToken(ctx, config, response, oidc.IDTokenCheck{Nonce: nonce})
	if err != nil {
		config.Wipe()
		return nil, err
	}
	first := tokenFrom(p, response)
	if o.onlyAT {
		defer response.Wipe()
		config.Wipe()
		return tokenAnswer(first), nil
	}
	if response.RefreshToken.IsEmpty() {
		config.Wipe()
		return nil, errNoNewToken
	}
	config.RefreshToken.Wipe()
	config.RefreshToken = response.RefreshToken
	config.RefreshScope = loginScope(config)
	if response.HasScope {
		config.RefreshScope = response.Scope
	}
	config.Password.Wipe()
	config.Username, config.Password = "", secret.Secret{}
	object := config.Object()
	defer object.Wipe()
	answer := ipc.Success("").SetObject("config", object)
	l := a.newLoaded(config)
	l.subject = subject
	l.file.entry = o.entry
	if !first.answer.IsEmpty() {
		l.tokens[tokenKey{}] = first
	}
	a.inherit(l, a.accounts.find(l.name()))
	a.accounts.put(l)
	if o.fromC {
		a.noteIssuer(l.config, account.AddAccount)
	}
	return answer, nil
}
