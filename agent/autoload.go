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

// named finds a loaded account, or loads it from its file.
func (a *agent) named(ctx context.Context, name string) (*loaded, error) {
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
	data, err := account.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ipc.ErrNoAccount
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ipc.ErrNotLoaded, err)
	}
	return a.shareAutoload(ctx, name, path, data)
}

func (a *agent) shareAutoload(ctx context.Context, name, path string, data []byte) (*loaded, error) {
	s := &a.autoloads
	s.mu.Lock()
	f := s.flights[name]
	if f == nil {
		f = &autoload{done: make(chan struct{})}
		if s.flights == nil {
			s.flights = make(map[string]*autoload)
		}
		s.flights[name] = f
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), prompt.WindowTimeout)
			defer cancel()
			if f.err = a.lock.enter(); f.err == nil {
				f.loaded, f.err = a.load(ctx, name, path, data)
				a.lock.leave()
			}
			s.mu.Lock()
			delete(s.flights, name)
			s.mu.Unlock()
			close(f.done)
		}()
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.loaded, f.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: its password was not entered in time", ipc.ErrNotLoaded)
	}
}

// load opens an account's file with the password that the user enters in a window.
func (a *agent) load(ctx context.Context, name, path string, data []byte) (*loaded, error) {
	text, key, err := a.openFile(ctx, name, data)
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	config, err := account.Parse(text.Reveal())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	l := a.newLoaded(config)
	if key != nil {
		if err := a.setFile(ctx, l, path, key.Marshal()); err != nil {
			return nil, err
		}
		key.Wipe()
	}
	a.accounts.put(l)
	a.setLifetime(l, a.settings.lifetime)
	return l, nil
}

const tries = 3

func (a *agent) openFile(ctx context.Context, name string, data []byte) (text secret.Secret, key *crypt.Key, err error) {
	format, err := crypt.Detect(data)
	if err != nil {
		return text, nil, err
	}
	if format == crypt.FormatGPG {
		text, err = crypt.DecryptGPG(ctx, data)
		return text, nil, err
	}
	for range tries {
		password, askErr := prompt.Window(ctx, "oidc-agent: load account",
			fmt.Sprintf("Enter the encryption password of the account '%s', of which a token is wanted:", name))
		if askErr != nil {
			a.log.notice("account %q: not loaded: %v", name, askErr)
			return text, nil, ipc.ErrNotLoaded
		}
		text, key, err = crypt.Open(data, password)
		password.Wipe()
		debug.FreeOSMemory() // what the derivation has used
		if !errors.Is(err, crypt.ErrWrongPassword) {
			return text, key, err
		}
	}
	return text, nil, ipc.ErrPassword
}

// consent asks the user whether a program may have a token of an account.
func (a *agent) consent(ctx context.Context, what, account, application string) bool {
	if application == "" {
		application = "An application"
	}
	ok, err := prompt.Consent(ctx, "oidc-agent: confirm",
		fmt.Sprintf("%s requests an %s for '%s'. Do you want to allow this?", application, what, account))
	if err != nil {
		a.log.notice("account %q: cannot ask for consent: %v", account, err)
	}
	return ok
}
