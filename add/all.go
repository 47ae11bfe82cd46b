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
	// maxDerivations bounds the memory that keys take while they are derived, 64 MiB each.
	maxDerivations = 4
	// maxWaiting is how many accounts wait for their providers at once.
	maxWaiting = 32
)

// errNotAll is what is left to say after each account has had its line.
var errNotAll = errors.New("not all accounts could be loaded")

// loadAll loads every account that exists and is not loaded yet. The user is asked for one password; accounts
// under another one are named. Keys are derived side by side.
func loadAll(ctx context.Context, r *request) error {
	files, failed, err := r.notLoaded(ctx)
	if err != nil {
		return err
	}
	a := &all{r: r, failed: failed,
		derivations: make(chan struct{}, min(runtime.NumCPU(), maxDerivations)), waiting: make(chan struct{}, maxWaiting)}
	locked := slices.DeleteFunc(slices.Clone(files), func(f *file) bool { return f.format == crypt.FormatGPG })
	if len(locked) > 0 {
		err = prompt.Decrypt(ctx, r.password, "Enter decryption password for all account configs: ", crypt.ErrWrongPassword,
			func(password secret.Secret) error { return a.load(ctx, locked, password) })
	}
	for _, f := range files { // gpg-agent asks for one passphrase at a time
		if f.format == crypt.FormatGPG {
			a.report(f, a.loadGPG(ctx, f))
		}
	}
	if err == nil && a.failed {
		return errNotAll
	}
	return err
}

// notLoaded reads the files of the accounts that the agent does not hold.
func (r *request) notLoaded(ctx context.Context) (files []*file, failed bool, err error) {
	answer, err := ask(ctx, r, ipc.Request(ipc.RequestLoadedAccounts))
	if err != nil {
		return nil, false, err
	}
	dir, err := account.FindDir()
	if err != nil {
		return nil, false, err
	}
	names, err := dir.List()
	if err != nil {
		return nil, false, err
	}
	loaded := answer.Texts(ipc.KeyInfo)
	for _, name := range names {
		if !r.force && slices.Contains(loaded, name) {
			continue
		}
		f, err := read(dir, name)
		if err != nil {
			tell(name, err)
			failed = true
			continue
		}
		files = append(files, f)
	}
	return files, failed, nil
}

// all is one run of --all.
type all struct {
	r           *request
	failed      bool
	derivations chan struct{} // a place for each derivation at a time
	waiting     chan struct{} // a place for each account that waits for the agent
}

// result is what became of one account.
type result struct {
	*file
	err error
}

// load opens the files with the password and loads their accounts. Where it opens none the error is
// crypt.ErrWrongPassword, so that another one can be tried.
func (a *all) load(ctx context.Context, files []*file, password secret.Secret) error {
	results := make(chan result)
	for _, f := range files {
		go func() { results <- result{f, a.loadOne(ctx, f, password)} }()
	}
	var wrong []*file
	for range files {
		r := <-results
		if errors.Is(r.err, crypt.ErrWrongPassword) {
			wrong = append(wrong, r.file)
			continue
		}
		a.report(r.file, r.err)
	}
	if len(wrong) == len(files) {
		return crypt.ErrWrongPassword
	}
	for _, f := range wrong {
		a.report(f, crypt.ErrWrongPassword)
	}
	return nil
}

func (a *all) loadOne(ctx context.Context, f *file, password secret.Secret) error {
	a.derivations <- struct{}{}
	err := f.decrypt(password)
	<-a.derivations
	if err != nil {
		return err
	}
	a.waiting <- struct{}{}
	defer func() { <-a.waiting }()
	_, err = f.send(ctx, a.r)
	return err
}

func (a *all) loadGPG(ctx context.Context, f *file) error {
	if err := f.openGPG(ctx); err != nil {
		return err
	}
	_, err := f.send(ctx, a.r)
	return err
}

func (a *all) report(f *file, err error) {
	if err == nil {
		fmt.Println(f.name)
		return
	}
	tell(f.name, err)
	a.failed = true
}

// tell says on stderr why an account was not loaded.
func tell(name string, err error) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", name, cli.Printable(err.Error()))
}
