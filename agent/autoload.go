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

// window is a password window for an account that is not loaded. All requests for the same account share one.
type window struct {
	done   chan struct{} // closed when the user has answered
	loaded *loaded
	err    error
}

// named returns the loaded account of a name, or loads it from its file. With noAutoload it leaves the loading to the
// client, which has the user's terminal.
func (a *agent) named(ctx context.Context, name string, noAutoload bool) (*loaded, error) {
	if l := a.accounts.find(name); l != nil {
		return l, nil
	}
	if !a.settings.Autoload {
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
	if open, ok := a.windows.LoadOrStore(name, w); ok {
		w = open.(*window)
	} else {
		go func() {
			if w.loaded = a.accounts.find(name); w.loaded == nil { // another window may just have been answered
				w.loaded, w.err = a.load(name, path, data)
			}
			a.windows.Delete(name)
			close(w.done)
		}()
	}
	select {
	case <-w.done: // locking the agent closes the window
		return w.loaded, w.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: its password was not entered in time", ipc.ErrNotLoaded)
	}
}

// accountFile returns the path of the file of a name, whether or not it exists.
func accountFile(name string) (path string, err error) {
	dir, _ := account.FindDir() // if there is none, it has no files
	return dir.File(name)
}

// load opens an account file with the password that the user enters in a window, and loads the account. For a gpg file
// gpg's own agent asks for the passphrase. The agent's lock is entered only after that: an open window must not keep
// the agent from being locked.
func (a *agent) load(name, path string, data []byte) (*loaded, error) {
	ctx, cancel := context.WithTimeout(context.Background(), prompt.WindowTimeout)
	defer cancel()
	ctx, stop := a.lock.untilShut(ctx)
	defer stop()
	text, key, err := crypt.OpenAny(ctx, data, func(try func(secret.Secret) error) error {
		for range 3 {
			password, err := prompt.Window(ctx, "oidc-agent: load account",
				fmt.Sprintf("An application requests a token for '%s'. Enter the encryption password of this account:", name))
			if err != nil {
				return a.unanswered(ctx, name, err, ipc.ErrNotLoaded)
			}
			err = try(password)
			password.Wipe()
			debug.FreeOSMemory() // of the key derivation
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
	config.Name = name // a renamed file still has the old name inside
	a.endLifetimes()   // an account of this name may have expired, and its timer be late
	l := a.newLoaded(config)
	l.setKey(path, a.sealer.Seal(key.Marshal()))
	if existing := a.accounts.putNew(l); existing != nil { // oidc-add was faster
		return existing, nil
	}
	a.setLifetime(l, a.settings.Lifetime)
	return l, nil
}

// consent asks the user whether an application may have a token of an account.
func (a *agent) consent(ctx context.Context, what, account, application string) error {
	ctx, cancel := a.lock.untilShut(ctx)
	defer cancel()
	question := fmt.Sprintf("%s requests an %s for '%s'. Do you want to allow this?",
		cmp.Or(application, "An application"), what, account)
	ok, err := prompt.Consent(ctx, "oidc-agent: confirm", question)
	if err == nil && !ok {
		err = errors.New("the user refused")
	}
	return a.unanswered(ctx, account, err, errForbidden)
}

// unanswered returns the error for a question to the user that failed with err: that the agent has been locked in the
// meantime, or else failure.
func (a *agent) unanswered(ctx context.Context, account string, err, failure error) error {
	switch {
	case err == nil:
		return nil
	case context.Cause(ctx) == ipc.ErrLocked:
		return ipc.ErrLocked
	}
	a.log.notice("account %q: %v: %v", account, failure, err)
	return failure
}
