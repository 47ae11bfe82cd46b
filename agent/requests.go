package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// request is one message on the socket. Its secrets are bytes of the message, which is wiped when the answer
// has been made.
type request struct{ *cjson.Object }

// account is the account that the request names, for hints.
func (r request) account() string {
	if name := r.Text(ipc.KeyAccount); name != "" {
		return name
	}
	if config := r.Object.Object(ipc.KeyConfig); config != nil {
		return config.Text("name")
	}
	return ""
}

// handlers is what the agent understands: the requests of the C agent, and `saved`, `bearer_file` and `verify_token`,
// which are ours. The answer to access_token is kept ready.
var handlers = [...]struct {
	name       string
	whenLocked bool
	handle     func(*agent, context.Context, request) (*cjson.Object, error)
}{
	{ipc.RequestCheck, true, (*agent).check},
	{ipc.RequestLock, true, (*agent).lockAgent},
	{ipc.RequestUnlock, true, (*agent).unlockAgent},
	{ipc.RequestStatus, false, (*agent).status},
	{ipc.RequestStatusJSON, false, (*agent).statusJSON},
	{ipc.RequestAccountInfo, true, (*agent).accountInfo},
	{ipc.RequestLoadedAccounts, false, (*agent).loadedAccounts},
	{ipc.RequestAccessToken, false, nil},
	{ipc.RequestIDToken, false, (*agent).handleIDToken},
	{ipc.RequestVerifyToken, false, (*agent).verifyToken},
	{ipc.RequestMytoken, false, (*agent).mytoken},
	{ipc.RequestMytokenSupporting, false, (*agent).mytoken},
	{ipc.RequestAdd, false, (*agent).add},
	{ipc.RequestSaved, false, (*agent).saved},
	{ipc.RequestBearer, false, (*agent).keepBearer},
	{ipc.RequestRemove, false, (*agent).remove},
	{ipc.RequestRemoveAll, false, (*agent).removeAll},
	{ipc.RequestRegister, false, (*agent).register},
	{ipc.RequestGen, false, (*agent).gen},
	{ipc.RequestDevice, false, (*agent).device},
	{ipc.RequestCodeExchange, false, (*agent).codeExchange},
	{ipc.RequestStateLookup, false, (*agent).stateLookup},
	{ipc.RequestTermHTTPServer, false, (*agent).termHTTPServer},
	{ipc.RequestReauthenticate, false, (*agent).reauthenticate},
	{ipc.RequestDelete, false, (*agent).delete},
	{ipc.RequestDeleteClient, false, (*agent).deleteClient},
	{ipc.RequestScopes, false, (*agent).scopes},
	{ipc.RequestFileWrite, false, (*agent).fileWrite},
	{ipc.RequestFileRead, false, (*agent).fileRead},
	{ipc.RequestFileRemove, false, (*agent).fileRemove},
}

// answer handles one message: the bytes of a JSON object in, those of the answer out.
func (a *agent) answer(ctx context.Context, message []byte) []byte {
	defer clear(message)
	object, err := cjson.Parse(message)
	if err != nil {
		return failure(fmt.Errorf("%w: %w", errNotJSON, err), "").Compact()
	}
	r := request{object}
	name := r.Text(ipc.KeyRequest)
	answer, err := a.dispatch(ctx, name, r)
	if err == nil {
		return answer
	}
	a.log.debugf("request %q failed: %v", name, err)
	account := r.account()
	if of := (ofAccount{}); errors.As(err, &of) {
		account = of.name
	}
	if name == ipc.RequestRegister {
		account = "" // the hints are about accounts that exist
	}
	told := failure(err, account)
	if r.Has(ipc.KeyNoAutoload) && errors.Is(err, ipc.ErrNotLoaded) { // which account to load, and whether that is wanted
		told.SetText(ipc.KeyAccount, account).SetInt(ipc.KeyNoAutoload, ipc.Flag(a.settings.noAutoload))
	}
	return told.Compact()
}

func (a *agent) dispatch(ctx context.Context, name string, r request) ([]byte, error) {
	if name == "" {
		return nil, errNoRequestType
	}
	a.endLifetimes()
	for _, h := range handlers {
		if h.name != name {
			continue
		}
		if !h.whenLocked {
			if err := a.lock.enter(); err != nil {
				return nil, err
			}
			defer a.lock.leave()
		}
		if h.name == ipc.RequestAccessToken {
			return a.handleAccessToken(ctx, r)
		}
		answer, err := h.handle(a, ctx, r)
		if err != nil {
			return nil, err
		}
		defer answer.Wipe()
		return answer.Compact(), nil
	}
	return nil, errUnknownRequest
}

func (a *agent) check(context.Context, request) (*cjson.Object, error) { return ipc.Success(""), nil }

func (a *agent) loadedAccounts(context.Context, request) (*cjson.Object, error) {
	return ipc.Success("").SetTexts("info", a.accounts.names()), nil
}

// choose finds the account of a token request: by name, or by issuer, where the issuer's default account
// comes before the one that was loaded last. What is not loaded is loaded now, unless --no-autoload.
func (a *agent) choose(ctx context.Context, r request) (*loaded, error) {
	if name := r.Text(ipc.KeyAccount); name != "" {
		return a.named(ctx, name, r.Bool(ipc.KeyNoAutoload))
	}
	issuer := r.Text(ipc.KeyIssuer)
	if issuer == "" {
		return nil, errNeitherAccount
	}
	settings := a.issuerSettings(issuer)
	found := a.accounts.ofIssuer(issuer)
	for _, l := range found {
		if l.name() == settings.DefaultAccount {
			return l, nil
		}
	}
	switch {
	case len(found) > 0:
		return found[len(found)-1], nil
	case settings.Default() != "":
		return a.named(ctx, settings.Default(), r.Bool(ipc.KeyNoAutoload))
	}
	return nil, ipc.ErrNotLoaded
}

// patience ends a request's context when its client does not wait any longer.
func patience(ctx context.Context, r request) (context.Context, context.CancelFunc) {
	seconds, _ := r.Int(ipc.KeyTimeout)
	if seconds <= 0 || seconds >= int64(answerTimeout/time.Second) {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, time.Duration(seconds)*time.Second,
		fmt.Errorf("no answer within %d s, which is how long the client waits", seconds))
}

// handleAccessToken answers with bytes that the caller may change.
func (a *agent) handleAccessToken(ctx context.Context, r request) ([]byte, error) {
	ctx, cancel := patience(ctx, r)
	defer cancel()
	q := ipc.ParseAccessTokenRequest(r.Object)
	l, err := a.choose(ctx, r)
	if err != nil {
		return nil, err
	}
	if l.confirm || a.settings.confirm {
		if err := a.consent(ctx, "access token", l.name(), q.ApplicationHint); err != nil {
			return nil, err
		}
	}
	t, err := a.accessToken(ctx, l, tokenRequest{
		scope: q.Scope, audience: q.Audience, minValid: max(q.MinValidPeriod, 0), force: q.MinValidPeriod < 0,
	})
	if err != nil {
		return nil, ofAccount{err, l.name()}
	}
	return t.answer.Reveal(), nil
}

// handleIDToken gives out an id-token. It says who the user is, so he is asked unless he has said otherwise. It
// is a new one always: an id-token often ends before the access token that it came with.
func (a *agent) handleIDToken(ctx context.Context, r request) (*cjson.Object, error) {
	ctx, cancel := patience(ctx, r)
	defer cancel()
	l, err := a.choose(ctx, r)
	if err != nil {
		return nil, err
	}
	if !l.idTokenFree && !a.settings.alwaysAllowIDToken {
		if err := a.consent(ctx, "id token", l.name(), r.Text(ipc.KeyApplicationHint)); err != nil {
			return nil, err
		}
	}
	t, err := a.accessToken(ctx, l, tokenRequest{scope: r.Text(ipc.KeyScope), force: true, id: true})
	if err != nil {
		return nil, ofAccount{err, l.name()}
	}
	defer t.wipe()
	if t.id.IsEmpty() {
		return nil, fmt.Errorf("%s sent no id_token: the account needs the scope openid", t.issuer)
	}
	return ipc.Success("").SetSecret(ipc.KeyIDToken, t.id).SetText(ipc.KeyIssuer, t.issuer), nil
}

// add loads an account. It gets a first access token, so that an account that does not work is known now.
func (a *agent) add(ctx context.Context, r request) (*cjson.Object, error) {
	object := r.Object.Object(ipc.KeyConfig)
	if object == nil {
		return nil, errNoConfig
	}
	config, err := account.FromObject(object)
	if err != nil {
		return nil, err
	}
	lifetime, given := r.Int(ipc.KeyLifetime)
	if !given {
		lifetime = a.settings.lifetime
	}
	release, err := a.accounts.reserve(ctx, config.Name)
	if err != nil {
		return nil, err
	}
	defer release()
	if l := a.accounts.find(config.Name); l != nil {
		config.Wipe()
		return a.addAgain(ctx, l, r, lifetime, given)
	}
	l := a.newLoaded(config)
	l.confirm, l.idTokenFree = r.Bool(ipc.KeyConfirm), r.Bool(ipc.KeyAlwaysAllowIDToken) || r.Bool(ipc.KeyAlwaysAllowID)
	if err := a.takeKey(ctx, l, r); err != nil {
		return nil, err
	}
	if !r.Bool(ipc.KeyPlainAdd) {
		var t token
		t, err = a.accessToken(ctx, l, tokenRequest{})
		t.wipe()
	}
	if err != nil && !l.hasUnsaved() { // one with a new refresh token stays: memory alone has that
		return nil, err
	}
	if there := a.accounts.putNew(l); there != nil { // a login was faster, and is newer
		return a.addAgain(ctx, there, r, lifetime, given)
	}
	a.setLifetime(l, lifetime)
	a.noteIssuer(l.config, account.AddAccount)
	if err != nil {
		return nil, err
	}
	return ipc.Success(strings.TrimSpace(lifetimeText(lifetime) + "\n" + a.unsavedText(ctx, l))), nil
}

// noteIssuer keeps the list of an issuer's accounts in issuer.config. It is a convenience: what fails is only
// logged.
func (a *agent) noteIssuer(config *account.Account, change func(account.Dir, string, string) error) {
	dir, err := account.FindDir()
	if err == nil {
		err = change(dir, config.IssuerURL, config.Name)
	}
	if err != nil && !errors.Is(err, account.ErrNoDir) {
		a.log.warning("issuer.config: %v", err)
	}
}

// addAgain is an add of what is loaded already: it sets a new lifetime, and takes a key.
func (a *agent) addAgain(ctx context.Context, l *loaded, r request, lifetime int64, given bool) (*cjson.Object, error) {
	if err := a.takeKey(ctx, l, r); err != nil {
		return nil, err
	}
	text := "account already loaded."
	if given {
		a.setLifetime(l, lifetime)
	}
	if given && lifetime > 0 {
		text += " " + lifetimeText(lifetime) + "."
	}
	return ipc.Success(text), nil
}

// unsavedText says why a new refresh token is not in the account's file; nothing where it is.
func (a *agent) unsavedText(ctx context.Context, l *loaded) string {
	if err := a.flush(ctx, l, false); err != nil {
		return "The provider gave a new refresh token, and it is not saved: " + err.Error()
	}
	return ""
}

func lifetimeText(seconds int64) string {
	if seconds <= 0 {
		return ""
	}
	return "Lifetime set to " + strconv.FormatInt(seconds, 10) + " seconds"
}

// takeKey takes what add says of the account's file: the field of ours, which file it is and the key that opens
// it; or a C client's entry, which leads to the password. A refresh token that waits for a key is written.
func (a *agent) takeKey(ctx context.Context, l *loaded, r request) error {
	if fields := r.Object.Object(ipc.KeyFileKey); fields != nil {
		return a.setFile(ctx, l, fields.Text(ipc.KeyFile), fields.Secret(ipc.KeyKey))
	}
	entry := a.sealEntry(r.Object.Object(ipc.KeyPwEntry))
	if entry.IsEmpty() {
		return nil
	}
	l.mu.Lock()
	l.file.entry = entry
	l.mu.Unlock()
	_ = a.flush(ctx, l, false) // told and tried again
	return nil
}

// saved tells that oidc-gen has written the account's file, and with which key; a gpg file has none.
func (a *agent) saved(ctx context.Context, r request) (*cjson.Object, error) {
	l := a.accounts.find(r.Text(ipc.KeyAccount))
	if l == nil {
		return nil, ipc.ErrNotLoaded
	}
	a.noteIssuer(l.config, account.AddAccount)
	if key := r.Secret(ipc.KeyKey); !key.IsEmpty() {
		if err := a.setFile(ctx, l, r.Text(ipc.KeyFile), key); err != nil {
			return nil, err
		}
	}
	return ipc.Success(""), nil
}

func (a *agent) remove(ctx context.Context, r request) (*cjson.Object, error) {
	name := r.Text(ipc.KeyAccount)
	if name == "" {
		return nil, errNoShortname
	}
	l := a.accounts.find(name)
	if l == nil || !a.accounts.remove(l) {
		return nil, ipc.ErrNotLoaded
	}
	a.dropBearers(name)
	a.flushLast(ctx, l)
	return ipc.Success(""), nil
}

func (a *agent) removeAll(ctx context.Context, _ request) (*cjson.Object, error) {
	for _, l := range a.accounts.removeAll() {
		a.dropBearers(l.name())
		a.flushLast(ctx, l)
	}
	return ipc.Success(""), nil
}

func (a *agent) fileWrite(_ context.Context, r request) (*cjson.Object, error) {
	a.notes.write(a.sealer, r.Text(ipc.KeyFilename), r.Secret(ipc.KeyData))
	return ipc.Success(""), nil
}

func (a *agent) fileRead(_ context.Context, r request) (*cjson.Object, error) {
	data, ok := a.notes.read(a.sealer, r.Text(ipc.KeyFilename))
	if !ok {
		return nil, errFileNotFound
	}
	defer data.Wipe()
	return ipc.Success("").SetSecret(ipc.KeyData, data), nil
}

func (a *agent) fileRemove(_ context.Context, r request) (*cjson.Object, error) {
	a.notes.remove(r.Text(ipc.KeyFilename))
	return ipc.Success(""), nil
}

// ofAccount is an error of an account that the request did not name itself, but by its issuer.
type ofAccount struct {
	error
	name string
}

func (o ofAccount) Unwrap() error { return o.error }

// mytoken answers for a service that the agent does not know yet.
func (a *agent) mytoken(context.Context, request) (*cjson.Object, error) { return nil, errNoMytoken }
