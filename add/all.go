package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

const (
	maxDerivations = 4  // bounds the memory that keys take while they are derived, 64 MiB each
	maxWaiting     = 32 // accounts that wait for their providers at once
)

// all is one run of --all.
type all struct {
	r           *request
	locked, gpg []*file // not loaded yet: under a password, and for gpg
	failed      bool    // some account could not be loaded
}

// loadAll loads every account that exists and is not loaded yet. The user is asked for one password; accounts
// under another one are named. Keys are derived side by side.
func loadAll(ctx context.Context, r *request) error {
	a := &all{r: r}
	if err := a.find(ctx); err != nil {
		return err
	}
	var err error
	if len(a.locked) > 0 {
		err = prompt.Decrypt(ctx, r.password, "Enter decryption password for all account configs: ", crypt.ErrWrongPassword,
			func(password secret.Secret) error { return a.load(ctx, password) })
	}
	for _, f := range a.gpg { // gpg-agent asks for one passphrase at a time
		err := f.open(ctx, r.password)
		if err == nil {
			_, err = ask(ctx, r, f.request(r))
		}
		a.report(f.name, err)
	}
	if err == nil && a.failed {
		err = errors.New("not all accounts could be loaded")
	}
	return err
}

// find reads the files of the accounts that the agent does not hold.
func (a *all) find(ctx context.Context) error {
	answer, err := ask(ctx, a.r, ipc.Request(ipc.RequestLoadedAccounts))
	if err != nil {
		return err
	}
	dir, err := account.FindDir()
	if err != nil {
		return err
	}
	names, err := dir.List()
	if err != nil {
		return err
	}
	loaded := answer.Texts(ipc.KeyInfo)
	for _, name := range names {
		if !a.r.force && slices.Contains(loaded, name) {
			continue
		}
		f, err := read(name)
		if err != nil {
			a.report(name, err)
			continue
		}
		switch format, err := crypt.Detect(f.data); {
		case err != nil:
			a.report(name, fmt.Errorf("%s: %w", f.path, err))
		case format == crypt.FormatGPG:
			a.gpg = append(a.gpg, f)
		default:
			a.locked = append(a.locked, f)
		}
	}
	return nil
}

// load opens the locked files with the password and loads their accounts. Where it opens none the error is
// crypt.ErrWrongPassword, so that another one can be tried.
func (a *all) load(ctx context.Context, password secret.Secret) error {
	type result struct {
		*file
		err error
	}
	results := make(chan result)
	derivations := make(chan struct{}, min(runtime.NumCPU(), maxDerivations)) // a place for each at a time
	waiting := make(chan struct{}, maxWaiting)
	for _, f := range a.locked {
		go func() {
			derivations <- struct{}{}
			text, key, err := crypt.Open(f.data, password)
			<-derivations
			waiting <- struct{}{}
			if err == nil {
				err = f.take(text, key)
			}
			if err == nil {
				_, err = ask(ctx, a.r, f.request(a.r))
			}
			<-waiting
			results <- result{f, err}
		}()
	}
	var wrong []*file
	for range a.locked {
		r := <-results
		if errors.Is(r.err, crypt.ErrWrongPassword) {
			wrong = append(wrong, r.file)
			continue
		}
		a.report(r.name, r.err)
	}
	if len(wrong) == len(a.locked) {
		return crypt.ErrWrongPassword
	}
	for _, f := range wrong {
		a.report(f.name, crypt.ErrWrongPassword)
	}
	return nil
}

// report names an account that was loaded, or says on stderr why it was not.
func (a *all) report(name string, err error) {
	if err == nil {
		fmt.Println(name)
		return
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", name, cli.Printable(err.Error()))
	a.failed = true
}
