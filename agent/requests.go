package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// request is one message on the socket. Its secrets share the bytes of the message, which is wiped after the
// answer has been made.
type request struct{ *cjson.Object }

// account returns the name of the account that the request is about, for hints. A registration has none yet.
func (r request) account() string {
	config := r.Object.Object(ipc.KeyConfig)
	if config == nil || r.Text(ipc.KeyRequest) == ipc.RequestRegister {
		return r.Text(ipc.KeyAccount)
	}
	return config.Text("name")
}

// handlers lists all requests: those of the C agent, and our own `saved`, `bearer_file` and `verify_token`. An
// answer of nil is plain success. access_token has no handler here, because its answer is stored as bytes.
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

// answer handles one message: it takes the bytes of a JSON object and returns those of the answer.
func (a *agent) answer(ctx context.Context, message []byte) []byte {
	defer clear(message)
	object, err := cjson.Parse(message)
	if err != nil {
		return failure(fmt.Errorf("Bad Request: could not parse json: %w", err), "").Compact()
	}
	r := request{object}
	if seconds, _ := r.Int(ipc.KeyTimeout); seconds > 0 && seconds < int64(answerTimeout/time.Second) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(seconds)*time.Second,
			fmt.Errorf("no answer within %d s, which is how long the client waits", seconds))
		defer cancel()
	}
	answer, err := a.dispatch(ctx, r)
	if err == nil {
		return answer
	}
	a.log.debugf("request %q failed: %v", r.Text(ipc.KeyRequest), err)
	told := failure(err, r.account())
	if r.Has(ipc.KeyNoAutoload) && errors.Is(err, ipc.ErrNotLoaded) { // the client may load the account itself
		told.SetText(ipc.KeyAccount, r.account()).SetInt(ipc.KeyNoAutoload, ipc.Flag(!a.settings.Autoload))
	}
	return told.Compact()
}

func (a *agent) dispatch(ctx context.Context, r request) ([]byte, error) {
	name := r.Text(ipc.KeyRequest)
	if name == "" {
		return nil, errors.New("Bad Request: No request type.")
	}
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
		if h.handle == nil {
			return a.handleAccessToken(ctx, r)
		}
		answer, err := h.handle(a, ctx, r)
		if err != nil {
			return nil, err
		}
		if answer == nil {
			answer = ipc.Success("")
		}
		defer answer.Wipe()
		return answer.Compact(), nil
	}
	return nil, ipc.ErrUnknownRequest
}

func (a *agent) check(context.Context, request) (*cjson.Object, error) { return nil, nil }

func (a *agent) loadedAccounts(context.Context, request) (*cjson.Object, error) {
	return ipc.Success("").SetTexts("info", a.accounts.names()), nil
}

// choose returns the account of a token request, by name or by issuer. Of several accounts with the issuer it is
// the default one, or else the one that was loaded last. It loads the account if necessary, unless --no-autoload
// forbids that.
func (a *agent) choose(ctx context.Context, r request) (*loaded, error) {
	name, issuer := r.Text(ipc.KeyAccount), r.Text(ipc.KeyIssuer)
	if name == "" {
		if issuer == "" {
			return nil, errors.New("Bad Request: neither an account nor an issuer is named")
		}
		settings := a.issuerSettings(issuer)
		for _, l := range a.accounts.ofIssuer(issuer) {
			if name = l.name(); name == settings.DefaultAccount {
				break
			}
		}
		if name = cmp.Or(name, settings.Default()); name == "" {
			return nil, ipc.ErrNotLoaded
		}
		r.SetText(ipc.KeyAccount, name) // for the hints
	}
	return a.named(ctx, name, r.Bool(ipc.KeyNoAutoload))
}

// tokenOf returns a token of the account that a request is about. It asks the user first if an option says so or,
// for an id-token, unless an option says otherwise: an id-token tells who the user is.
func (a *agent) tokenOf(ctx context.Context, r request, what string, q tokenRequest) (token, error) {
	l, err := a.choose(ctx, r)
	if err != nil {
		return token{}, err
	}
	ask := l.confirm || a.settings.Confirm
	if what == idToken {
		ask = !l.idTokenFree && !a.settings.AlwaysAllowIDToken
	}
	if ask {
		if err := a.consent(ctx, what, l.name(), r.Text(ipc.KeyApplicationHint)); err != nil {
			return token{}, err
		}
	}
	return a.accessToken(ctx, l, q)
}

const accessToken, idToken = "access token", "id token"

// handleAccessToken returns an answer that the caller may change.
func (a *agent) handleAccessToken(ctx context.Context, r request) ([]byte, error) {
	period, _ := r.Int(ipc.KeyMinValidPeriod)
	t, err := a.tokenOf(ctx, r, accessToken, tokenRequest{
		scope: r.Text(ipc.KeyScope), audience: r.Text(ipc.KeyAudience), minValid: max(period, 0), force: period < 0,
	})
	if err != nil {
		return nil, err
	}
	return a.answerOf(t)
}

// handleIDToken always gets a new id-token: it often expires before the access token that it came with.
func (a *agent) handleIDToken(ctx context.Context, r request) (*cjson.Object, error) {
	t, err := a.tokenOf(ctx, r, idToken, tokenRequest{scope: r.Text(ipc.KeyScope), force: true})
	if err != nil {
		return nil, err
	}
	if t.id.IsEmpty() {
		return nil, fmt.Errorf("%s sent no id_token: the account needs the scope openid", t.issuer)
	}
	id, err := a.sealer.Open(t.id)
	defer id.Wipe()
	return ipc.Success("").SetSecret(ipc.KeyIDToken, id).SetText(ipc.KeyIssuer, t.issuer), err
}

// add loads an account. It gets a first access token, so that the user learns now whether the account works. For an
// account that is loaded already it sets a new lifetime and takes the key of the account file.
func (a *agent) add(ctx context.Context, r request) (*cjson.Object, error) {
	config, err := r.config()
	if err != nil {
		return nil, err
	}
	defer config.Wipe()
	release, err := a.accounts.reserve(ctx, config.Name)
	if err != nil {
		return nil, err
	}
	defer release()
	l := a.accounts.find(config.Name)
	isNew := l == nil
	if isNew {
		a.endLifetimes() // one of the same name may have expired while its timer is late
		l = a.newLoaded(config)
		l.confirm, l.idTokenFree = r.Bool(ipc.KeyConfirm), r.Bool(ipc.KeyAlwaysAllowIDToken) || r.Bool(ipc.KeyAlwaysAllowID)
	}
	if err := a.takeKey(ctx, l, r); err != nil {
		return nil, err
	}
	if isNew {
		if !r.Bool(ipc.KeyPlainAdd) {
			_, err = a.accessToken(ctx, l, tokenRequest{})
		}
		if err != nil && !l.fileNow().unsaved() { // a new refresh token that only memory holds must not be dropped
			return nil, err
		}
		if there := a.accounts.putNew(l); there != nil { // a login has loaded it in the meantime
			l, isNew = there, false
		}
	}
	info := ""
	lifetime, given := r.Int(ipc.KeyLifetime)
	if !given {
		lifetime = a.settings.Lifetime
	}
	if given || isNew {
		a.setLifetime(l, lifetime)
		if lifetime > 0 {
			info = fmt.Sprintf("Lifetime set to %d seconds", lifetime)
		}
	}
	if !isNew {
		return ipc.Success(strings.TrimSuffix("account already loaded. "+info+".", " .")), nil
	}
	a.noteIssuer(l.config, true)
	if err != nil {
		return nil, err
	}
	if err := a.save(ctx, l, false); err != nil {
		info += "\nThe provider gave a new refresh token, and it is not saved: " + err.Error()
	}
	return ipc.Success(strings.TrimSpace(info)), nil
}

// noteIssuer adds an account to its issuer in issuer.config, or removes it. The list is a convenience, so a
// failure is only logged.
func (a *agent) noteIssuer(config *account.Account, belongs bool) {
	dir, err := account.FindDir()
	if err == nil {
		err = account.NoteAccount(dir, config.IssuerURL, config.Name, belongs)
	}
	if err != nil && !errors.Is(err, account.ErrNoDir) {
		a.log.warning("issuer.config: %v", err)
	}
}

// takeKey takes what an add says about the account file: from our clients its path and key, from C clients an
// entry that leads to the password. A refresh token that was waiting for a key is written now.
func (a *agent) takeKey(ctx context.Context, l *loaded, r request) error {
	if told := r.Object.Object(ipc.KeyFileKey); told != nil {
		return a.setFile(ctx, l, told)
	}
	if entry := a.sealEntry(r); !entry.IsEmpty() {
		l.mu.Lock()
		l.file.entry = entry
		l.mu.Unlock()
		_ = a.save(ctx, l, false) // reports and retries failures itself
	}
	return nil
}

// saved takes the key with which oidc-gen has written the account file. A gpg file has none.
func (a *agent) saved(ctx context.Context, r request) (*cjson.Object, error) {
	l := a.accounts.find(r.Text(ipc.KeyAccount))
	if l == nil {
		return nil, ipc.ErrNotLoaded
	}
	a.noteIssuer(l.config, true)
	if !r.Has(ipc.KeyKey) {
		return nil, nil
	}
	return nil, a.setFile(ctx, l, r.Object)
}

func (a *agent) remove(ctx context.Context, r request) (*cjson.Object, error) {
	name := r.Text(ipc.KeyAccount)
	if name == "" {
		return nil, errors.New("Bad Request: Have to provide shortname of the account config that should be removed.")
	}
	if len(a.forget(ctx, func(l *loaded) bool { return l.name() == name })) == 0 {
		return nil, ipc.ErrNotLoaded
	}
	return nil, nil
}

func (a *agent) removeAll(ctx context.Context, _ request) (*cjson.Object, error) {
	a.forget(ctx, func(*loaded) bool { return true })
	return nil, nil
}

// fileWrite keeps a text that oidc-gen leaves with the agent between its steps. It may hold a client's secret, so
// it is sealed and never written to disk. A second write does not replace the first, as in the C agent.
func (a *agent) fileWrite(_ context.Context, r request) (*cjson.Object, error) {
	a.notes.LoadOrStore(r.Text(ipc.KeyFilename), a.sealer.Seal(r.Secret(ipc.KeyData)))
	return nil, nil
}

func (a *agent) fileRead(_ context.Context, r request) (*cjson.Object, error) {
	note, ok := a.notes.Load(r.Text(ipc.KeyFilename))
	if !ok {
		return nil, errors.New("File not found")
	}
	data, err := a.sealer.Open(note.(crypt.Sealed))
	defer data.Wipe()
	return ipc.Success("").SetSecret(ipc.KeyData, data), err
}

func (a *agent) fileRemove(_ context.Context, r request) (*cjson.Object, error) {
	a.notes.Delete(r.Text(ipc.KeyFilename))
	return nil, nil
}

// mytoken answers all requests for a service that the agent does not support yet.
func (a *agent) mytoken(context.Context, request) (*cjson.Object, error) {
	return nil, errors.New("Not a valid mytoken configuration: mytoken is not supported yet")
}
