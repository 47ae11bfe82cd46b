package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	"oidc-agent/crypt"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/secret"
)

// maxDerivations bounds the memory that keys take while they are derived, 64 MiB each.
const maxDerivations = 4

// loadAll loads every account that exists and is not loaded yet. The user is asked for one password; accounts
// under another one are named. Those that are loaded are named on stdout, the others on stderr.
func loadAll(ctx context.Context, r *request) error {
	loaded, err := loadedNames(ctx, r)
	if err != nil {
		return err
	}
	names, err := existingNames()
	if err != nil {
		return err
	}
	var failed error
	report := func(name string, err error) {
		if err == nil {
			fmt.Println(name)
			return
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, cli.Printable(err.Error()))
		failed = errors.New("not all accounts could be loaded")
	}
	var locked []*file
	for _, name := range names {
		if !r.force && slices.Contains(loaded, name) {
			continue
		}
		f, err := read(name)
		if err == nil && f.format != crypt.FormatGPG {
			locked = append(locked, f)
			continue
		}
		if err == nil { // gpg-agent asks for one passphrase at a time
			err = f.open(ctx, r.password)
		}
		if err == nil {
			_, err = ask(ctx, r, f.request(r))
		}
		report(name, err)
	}
	if len(locked) > 0 {
		err = prompt.Decrypt(ctx, r.password, "Enter decryption password for all account configs: ", crypt.ErrWrongPassword,
			func(password secret.Secret) error { return loadLocked(ctx, r, locked, password, report) })
	}
	return cmp.Or(err, failed)
}

// loadLocked opens files with the password and loads their accounts; the keys are derived side by side. Where it opens
// none the error is crypt.ErrWrongPassword, so that another one can be tried.
func loadLocked(ctx context.Context, r *request, files []*file, password secret.Secret, report func(string, error)) error {
	errs := make([]error, len(files))
	derivations := make(chan struct{}, min(runtime.NumCPU(), maxDerivations)) // a place for each at a time
	var loading sync.WaitGroup
	for i, f := range files {
		loading.Go(func() {
			derivations <- struct{}{}
			text, key, err := crypt.Open(f.data, password)
			<-derivations
			if err = f.take(text, key, err); err == nil {
				_, err = ask(ctx, r, f.request(r))
			}
			errs[i] = err
		})
	}
	loading.Wait()
	if !slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, crypt.ErrWrongPassword) }) {
		return crypt.ErrWrongPassword
	}
	for i, f := range files {
		report(f.name, errs[i])
	}
	return nil
}
