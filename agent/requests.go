package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
)

// request is one message on the socket. Its secrets are bytes of the message, which is wiped when the answer
// has been made.
type request struct{ *cjson.Object }

// account is the account that the request names, for hints.
func (r request) account() string {
	if name := r.Text("account"); name != "" {
		return name
	}
	if config := r.Object.Object("config"); config != nil {
		return config.Text("name")
	}
	return ""
}

// handlers is what the agent understands: the requests of the C agent, and `saved`, which is ours.
var handlers = [...]struct {
	name       string
	whenLocked bool
	handle     func(*agent, context.Context, request) (*cjson.Object, error)
}{
	{"check", true, (*agent).check},
	{"status", false, (*agent).status},
	{"status_json", false, (*agent).statusJSON},
	{"loaded_accounts", false, (*agent).loadedAccounts},
	{"access_token", false, (*agent).handleAccessToken},
	{"id_token", false, (*agent).handleIDToken},
	{"add", false, (*agent).add},
	{"saved", false, (*agent).saved},
	{"remove", false, (*agent).remove},
	{"remove_all", false, (*agent).removeAll},
	{"register", false, (*agent).register},
	{"gen", false, (*agent).gen},
	{"device", false, (*agent).device},
	{"reauthenticate", false, (*agent).reauthenticate},
	{"delete", false, (*agent).delete},
	{"delete_client", false, (*agent).deleteClient},
	{"scopes", false, (*agent).scopes},
	{"file_write", false, (*agent).fileWrite},
	{"file_read", false, (*agent).fileRead},
	{"file_remove", false, (*agent).fileRemove},
}

// answer handles one message: the bytes of a JSON object in, those of the answer out.
func (a *agent) answer(ctx context.Context, message []byte) []byte {
	defer clear(message)
	object, err := cjson.Parse(message)
	if err != nil {
		return failure(fmt.Errorf("Bad Request: could not parse json: %w", err), "").Compact()
	}
	r := request{object}
	name := r.Text("request")
	answer, err := a.dispatch(ctx, name, r)
	if err != nil {
		a.log.debugf("request %q failed: %v", name, err)
		answer = failure(err, r.account())
	}
	return answer.Compact()
}

func (a *agent) dispatch(ctx context.Context, name string, r request) (*cjson.Object, error) {
	if name == "" {
		return nil, errNoRequestType
	}
	for _, h := range handlers {
		if h.name == name {
			return h.handle(a, ctx, r)
		}
	}
	return nil, errUnknownRequest
}

func (a *agent) check(context.Context, request) (*cjson.Object, error) { return success(), nil }

func (a *agent) loadedAccounts(context.Context, request) (*cjson.Object, error) {
	return success().SetTexts("info", a.accounts.names()), nil
}

// choose finds the account of a token request: by name, or by issuer, where the issuer's default account
// comes before the one that was loaded last.
func (a *agent) choose(r request) (*loaded, error) {
	if name := r.Text("account"); name != "" {
		return a.named(name)
	}
	issuer := r.Text("issuer")
	if issuer == "" {
		return nil, errNeitherAccount
	}
	found := a.accounts.ofIssuer(issuer)
	if len(found) == 0 {
		return nil, errNotLoaded
	}
	if settings, err := issuerSettings(issuer); err == nil {
		for _, l := range found {
			if l.name() == settings.DefaultAccount {
				return l, nil
			}
		}
	}
	return found[len(found)-1], nil
}

// named finds a loaded account, or tells whether there is a file that could be loaded.
func (a *agent) named(name string) (*loaded, error) {
	if l := a.accounts.find(name); l != nil {
		return l, nil
	}
	if dir, err := account.FindDir(); err == nil {
		if path, err := dir.File(name); err == nil {
			if _, err := account.ReadFile(path); !errors.Is(err, fs.ErrNotExist) {
				return nil, errNotLoaded
			}
		}
	}
	return nil, errNoAccount
}

func (a *agent) handleAccessToken(ctx context.Context, r request) (*cjson.Object, error) {
	l, err := a.choose(r)
	if err != nil {
		return nil, err
	}
	if err := a.allowed(l, r); err != nil {
		return nil, err
	}
	minValid, _ := r.Int("min_valid_period")
	t, err := a.accessToken(ctx, l, tokenRequest{
		scope: r.Text("scope"), audience: r.Text("audience"), minValid: max(minValid, 0), force: minValid < 0,
	})
	if err != nil {
		return nil, named{err, l.name()}
	}
	return tokenAnswer(t), nil
}

// allowed: an account that wants the user's consent for each request does without it only where somebody can
// be asked.
func (a *agent) allowed(l *loaded, _ request) error {
	if l.confirm || a.settings.confirm {
		return errForbidden
	}
	return nil
}

func tokenAnswer(t token) *cjson.Object {
	return success().SetSecret("access_token", t.access).SetText("issuer", t.issuer).SetInt("expires_at", t.expiresAt)
}

func (a *agent) handleIDToken(ctx context.Context, r request) (*cjson.Object, error) {
	l, err := a.choose(r)
	if err != nil {
		return nil, err
	}
	if !l.idTokenFree && !a.settings.alwaysAllowIDToken {
		return nil, errForbidden
	}
	t, err := a.accessToken(ctx, l, tokenRequest{scope: r.Text("scope"), idToken: true})
	if err != nil {
		return nil, named{err, l.name()}
	}
	if t.id.IsEmpty() {
		return nil, fmt.Errorf("%s sent no id_token: the account needs the scope openid", t.issuer)
	}
	return success().SetSecret("id_token", t.id).SetText("issuer", t.issuer), nil
}

// add loads an account. It gets a first access token, so that an account that does not work is known now.
func (a *agent) add(ctx context.Context, r request) (*cjson.Object, error) {
	object := r.Object.Object("config")
	if object == nil {
		return nil, errors.New("Bad Request: no account in 'config'")
	}
	config, err := account.FromObject(object)
	if err != nil {
		return nil, err
	}
	lifetime, given := r.Int("lifetime")
	if !given {
		lifetime = a.settings.lifetime
	}
	if l := a.accounts.find(config.Name); l != nil {
		return a.addAgain(ctx, l, r, lifetime, given)
	}
	l := a.newLoaded(config)
	l.confirm, l.idTokenFree = r.Bool("confirm"), r.Bool("always_allow_id_token")
	if err := a.takeFileKey(ctx, l, r.Object.Object("file_key")); err != nil {
		return nil, err
	}
	if !r.Bool("plain_add") {
		if _, err := a.accessToken(ctx, l, tokenRequest{}); err != nil {
			return nil, err
		}
	}
	a.accounts.put(l)
	a.setLifetime(l, lifetime)
	answer := success()
	if text := lifetimeText(lifetime); text != "" {
		answer.SetText("info", text)
	}
	return answer, nil
}

// addAgain is an add of what is loaded already: it sets a new lifetime, and takes a key.
func (a *agent) addAgain(ctx context.Context, l *loaded, r request, lifetime int64, given bool) (*cjson.Object, error) {
	if err := a.takeFileKey(ctx, l, r.Object.Object("file_key")); err != nil {
		return nil, err
	}
	text := "account already loaded."
	if given {
		a.setLifetime(l, lifetime)
		text = strings.TrimSpace(text + " " + lifetimeText(lifetime) + ".")
	}
	return success().SetText("info", text), nil
}

func lifetimeText(seconds int64) string {
	if seconds <= 0 {
		return ""
	}
	return "Lifetime set to " + strconv.FormatInt(seconds, 10) + " seconds"
}

// takeFileKey is the field of ours in add: which file the account is from, and the key that opens it.
func (a *agent) takeFileKey(ctx context.Context, l *loaded, fields *cjson.Object) error {
	if fields == nil {
		return nil
	}
	return a.setFile(ctx, l, fields.Text("file"), fields.Secret("key"))
}

// saved tells that oidc-gen has written the account's file, and with which key.
func (a *agent) saved(ctx context.Context, r request) (*cjson.Object, error) {
	l := a.accounts.find(r.Text("account"))
	if l == nil {
		return nil, errNotLoaded
	}
	if err := a.setFile(ctx, l, r.Text("file"), r.Secret("key")); err != nil {
		return nil, err
	}
	return success(), nil
}

func (a *agent) remove(_ context.Context, r request) (*cjson.Object, error) {
	name := r.Text("account")
	if name == "" {
		return nil, errors.New("Bad Request: Have to provide shortname of the account config that should be removed.")
	}
	l := a.accounts.find(name)
	if l == nil || !a.accounts.remove(l) {
		return nil, errNotLoaded
	}
	return success(), nil
}

func (a *agent) removeAll(context.Context, request) (*cjson.Object, error) {
	a.accounts.removeAll()
	return success(), nil
}

func (a *agent) fileWrite(_ context.Context, r request) (*cjson.Object, error) {
	a.notes.write(r.Text("filename"), r.Text("data"))
	return success(), nil
}

func (a *agent) fileRead(_ context.Context, r request) (*cjson.Object, error) {
	data, ok := a.notes.read(r.Text("filename"))
	if !ok {
		return nil, errFileNotFound
	}
	return success().SetText("data", data), nil
}

func (a *agent) fileRemove(_ context.Context, r request) (*cjson.Object, error) {
	a.notes.remove(r.Text("filename"))
	return success(), nil
}

// named is an error of an account that the request did not name itself.
type named struct {
	error
	account string
}

func (n named) Unwrap() error { return n.error }
