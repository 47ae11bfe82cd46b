package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// window asks for the password of an account of which somebody wants a token. All who want the same account share one.
type window struct {
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
	path, err := accountFile(name)
	if err != nil {
		return nil, ipc.ErrNoAccount
	}
	data, err := account.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ipc.ErrNoAccount
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ipc.ErrNotLoaded, err)
	case noAutoload:
		return nil, ipc.ErrNotLoaded
	}
	w := &window{done: make(chan struct{})}
	if shown, ok := a.windows.LoadOrStore(name, w); ok {
		w = shown.(*window)
	} else {
		go func() {
			if w.loaded = a.accounts.find(name); w.loaded == nil { // else a window has just been answered
				w.loaded, w.err = a.load(name, path, data)
			}
			a.windows.Delete(name)
			close(w.done)
		}()
	}
	select {
	case <-w.done: // at once when the agent is to be locked
		return w.loaded, w.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: its password was not entered in time", ipc.ErrNotLoaded)
	}
}

// accountFile is where the account of a name has its file, if it has one.
func accountFile(name string) (path string, err error) {
	dir, err := account.FindDir()
	if err != nil {
		return "", err
	}
	return dir.File(name)
}

// load opens an account's file with the password that the user enters in a window; the gpg program's own agent asks for
// a passphrase where there is one. Only then it goes through the lock's door, which a window must not keep open.
func (a *agent) load(name, path string, data []byte) (*loaded, error) {
	ctx, cancel := context.WithTimeout(context.Background(), prompt.WindowTimeout)
	defer cancel()
	ctx, stop := a.lock.untilShut(ctx)
	defer stop()
	text, key, err := crypt.OpenAny(ctx, data, func(try func(secret.Secret) error) error {
		for range 3 {
			password, err := prompt.Window(ctx, "oidc-agent: load account",
				fmt.Sprintf("Enter the encryption password of the account '%s', of which a token is wanted:", name))
			if err != nil {
				return a.unanswered(ctx, name, err, ipc.ErrNotLoaded)
			}
			err = try(password)
			password.Wipe()
			debug.FreeOSMemory() // what the derivation has used
			if !errors.Is(err, crypt.ErrWrongPassword) {
				return err
			}
		}
		return errPassword
	})
	if err != nil {
		if _, told := errors.AsType[*ipc.Failure](err); !told {
			err = fmt.Errorf("%s: %w", path, err)
		}
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
	a.endLifetimes()   // one of this name may be over, and its timer late
	l := a.newLoaded(config)
	l.setKey(path, a.sealer.Seal(key.Marshal()))
	if there := a.accounts.putNew(l); there != nil { // oidc-add was faster
		return there, nil
	}
	a.setLifetime(l, a.settings.lifetime)
	return l, nil
}

// consent asks the user whether a program may have a token of an account.
func (a *agent) consent(ctx context.Context, what, account, application string) error {
	ctx, cancel := a.lock.untilShut(ctx)
	defer cancel()
	ok, err := prompt.Consent(ctx, "oidc-agent: confirm", fmt.Sprintf("%s requests an %s for '%s'. Do you want to allow this?",
		cmp.Or(application, "An application"), what, account))
	if err == nil && !ok {
		err = errors.New("the user says no")
	}
	return a.unanswered(ctx, account, err, errForbidden)
}

// unanswered is what follows from a question to the user that failed: that the agent was locked meanwhile, or else failure.
func (a *agent) unanswered(ctx context.Context, account string, err error, failure error) error {
	switch {
	case err == nil:
		return nil
	case context.Cause(ctx) == ipc.ErrLocked:
		return ipc.ErrLocked
	}
	a.log.notice("account %q: %v: %v", account, failure, err)
	return failure
}
