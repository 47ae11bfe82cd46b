package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"sync"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// autoloads are the accounts that are being loaded because somebody wants a token of them. All who want the
// same account share one window.
type autoloads struct {
	mu      sync.Mutex
	flights map[string]*autoload
}

type autoload struct {
	done   chan struct{}
	loaded *loaded
	err    error
}

// named finds a loaded account, or loads it from its file; unless the client wants to do that itself, which has the
// user's terminal.
func (a *agent) named(ctx context.Context, name string, noAutoload bool) (*loaded, error) {
	if l := a.accounts.find(name); l != nil {
		return l, nil
	}
	if a.settings.noAutoload {
		return nil, ipc.ErrNotLoaded
	}
	dir, err := account.FindDir()
	if err != nil {
		return nil, ipc.ErrNoAccount
	}
	path, err := dir.File(name)
	if err != nil {
		return nil, ipc.ErrNoAccount
	}
	_, err = account.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ipc.ErrNoAccount
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ipc.ErrNotLoaded, err)
	}
	if noAutoload {
		return nil, ofAccount{ipc.ErrNotLoaded, name}
	}
	return a.shareAutoload(ctx, name, path)
}

func (a *agent) shareAutoload(ctx context.Context, name, path string) (*loaded, error) {
	s := &a.autoloads
	s.mu.Lock()
	if l := a.accounts.find(name); l != nil { // a window has just been answered
		s.mu.Unlock()
		return l, nil
	}
	f := s.flights[name]
	if f == nil {
		f = &autoload{done: make(chan struct{})}
		if s.flights == nil {
			s.flights = make(map[string]*autoload)
		}
		s.flights[name] = f
		go func() {
			f.loaded, f.err = a.load(name, path)
			s.mu.Lock()
			delete(s.flights, name)
			s.mu.Unlock()
			close(f.done)
		}()
	}
	s.mu.Unlock()
	ctx, cancel := a.lock.untilShut(ctx)
	defer cancel()
	select {
	case <-f.done:
		return f.loaded, f.err
	case <-ctx.Done():
		if context.Cause(ctx) == ipc.ErrLocked {
			return nil, ipc.ErrLocked
		}
		return nil, fmt.Errorf("%w: its password was not entered in time", ipc.ErrNotLoaded)
	}
}

// load opens an account's file with the password that the user enters in a window. Only with that it goes through
// the lock's door, which a window must not keep open.
func (a *agent) load(name, path string) (*loaded, error) {
	ctx, cancel := context.WithTimeout(context.Background(), prompt.WindowTimeout)
	defer cancel()
	ctx, stop := a.lock.untilShut(ctx)
	defer stop()
	text, key, err := a.openFile(ctx, name, path)
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	defer key.Wipe()
	if err := a.lock.enter(); err != nil {
		return nil, err
	}
	defer a.lock.leave()
	release, err := a.accounts.reserve(ctx, name)
	if err != nil {
		return nil, err
	}
	defer release()
	config, err := account.Parse(text.Reveal())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	config.Name = name // a file that was given another name keeps the old one inside
	l := a.newLoaded(config)
	if err := a.setFile(ctx, l, path, key.Marshal()); err != nil {
		return nil, err
	}
	if there := a.accounts.putNew(l); there != nil { // oidc-add was faster
		return there, nil
	}
	a.setLifetime(l, a.settings.lifetime)
	return l, nil
}

const tries = 3

// openFile reads the file anew for each password: while a window is open another agent may have written it.
func (a *agent) openFile(ctx context.Context, name, path string) (text secret.Secret, key crypt.FileKey, err error) {
	for range tries {
		data, err := account.ReadFile(path)
		if err != nil {
			return text, nil, err
		}
		format, err := crypt.Detect(data)
		if err != nil {
			return text, nil, fmt.Errorf("%s: %w", path, err)
		}
		if format == crypt.FormatGPG {
			return openGPG(ctx, data)
		}
		password, err := a.askPassword(ctx, name)
		if err != nil {
			return text, nil, err
		}
		if data, err = account.ReadFile(path); err == nil {
			var opened *crypt.Key
			text, opened, err = crypt.Open(data, password)
			key = opened
		}
		password.Wipe()
		debug.FreeOSMemory() // what the derivation has used
		if err == nil {
			return text, key, nil
		}
		if !errors.Is(err, crypt.ErrWrongPassword) {
			return text, nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return text, nil, ipc.ErrPassword
}

// openGPG opens a file through the gpg program, whose own agent asks for a passphrase where there is one.
func openGPG(ctx context.Context, data []byte) (text secret.Secret, key crypt.FileKey, err error) {
	id, err := crypt.GPGKeyID(data)
	if err != nil {
		return text, nil, err
	}
	text, err = crypt.DecryptGPG(ctx, data)
	return text, crypt.GPGKey(id), err
}

func (a *agent) askPassword(ctx context.Context, name string) (secret.Secret, error) {
	password, err := prompt.Window(ctx, "oidc-agent: load account",
		fmt.Sprintf("Enter the encryption password of the account '%s', of which a token is wanted:", name))
	if err == nil {
		return password, nil
	}
	if context.Cause(ctx) == ipc.ErrLocked {
		return password, ipc.ErrLocked
	}
	a.log.notice("account %q: not loaded: %v", name, err)
	return password, ipc.ErrNotLoaded
}

// consent asks the user whether a program may have a token of an account.
func (a *agent) consent(ctx context.Context, what, account, application string) error {
	if application == "" {
		application = "An application"
	}
	ctx, cancel := a.lock.untilShut(ctx)
	defer cancel()
	ok, err := prompt.Consent(ctx, "oidc-agent: confirm",
		fmt.Sprintf("%s requests an %s for '%s'. Do you want to allow this?", application, what, account))
	switch {
	case context.Cause(ctx) == ipc.ErrLocked:
		return ipc.ErrLocked
	case err != nil:
		a.log.notice("account %q: cannot ask for consent: %v", account, err)
		return ipc.ErrForbidden
	case !ok:
		return ipc.ErrForbidden
	}
	return nil
}
