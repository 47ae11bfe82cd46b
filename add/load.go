package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// file is an account file, and what is in it once it is open.
type file struct {
	name, path string
	data       []byte // as it was read
	config     *account.Account
	key        *crypt.Key
}

// read finds and reads the file of an account.
func read(name string) (*file, error) {
	dir, err := account.FindDir()
	if err != nil {
		return nil, err
	}
	path, err := dir.File(name)
	if err != nil {
		return nil, err
	}
	data, err := account.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ipc.ErrNoAccount
	}
	return &file{name: name, path: path, data: data}, err
}

// readOpen reads and opens the file of the account that the user names.
func readOpen(r *request) (*file, error) {
	f, err := read(r.account)
	if err == nil {
		err = f.open(r.password)
	}
	return f, err
}

// open asks for the file's password until one fits.
func (f *file) open(source prompt.Source) error {
	question := fmt.Sprintf("Enter decryption password for account config '%s': ", f.name)
	return f.parse(crypt.OpenAny(context.Background(), f.data, func(try func(secret.Secret) error) error {
		return prompt.Decrypt(source, question, crypt.ErrWrongPassword, try)
	}))
}

// parse takes the results of decrypting the file. An error gets the file's path in front, unless the password
// is wrong.
func (f *file) parse(text secret.Secret, key *crypt.Key, err error) error {
	if f.key = key; err == nil {
		f.config, err = account.Parse(text.Reveal())
	}
	if err != nil && !errors.Is(err, crypt.ErrWrongPassword) {
		err = fmt.Errorf("%s: %w", f.path, err)
	}
	return err
}

// print prints the decrypted account as the C tool does: only the keys that an account has, whatever else the
// file holds.
func print(r *request) error {
	f, err := readOpen(r)
	if err != nil {
		return err
	}
	for _, key := range f.config.Extra().Keys() {
		f.config.Extra().Delete(key)
	}
	_, err = fmt.Printf("%s\n", f.config.Object().Layout())
	return err
}

// load opens the account's file and gives the account and the file's key to the agent.
func load(r *request) error {
	loaded, err := loadedNames(r)
	if err != nil {
		return err
	}
	if !r.force && slices.Contains(loaded, r.account) {
		_, err = fmt.Printf("Account '%s' already loaded\n", r.account)
	} else {
		var f *file
		if f, err = readOpen(r); err == nil {
			err = order(r, f.request(r))
		}
	}
	if err != nil || r.bearerFile == "" {
		return err
	}
	return keepBearer(r)
}

// keepBearer has the agent keep a token of the account, which is loaded, in a file.
func keepBearer(r *request) error {
	_, err := ask(r, ipc.Request(ipc.RequestBearer).SetText(ipc.KeyAccount, r.account).
		SetText(ipc.KeyFile, r.bearerFile))
	if errors.Is(err, ipc.ErrUnknownRequest) {
		err = cli.WithHint(errors.New("the account is loaded, but this agent keeps no token files: it is another program's"),
			"See which agent it is:  oidc-agent --status  or do without:  oidc-tokensh "+r.account+" -- COMMAND")
	}
	return err
}

// request returns the request that gives the opened account and the file's key to the agent. pw_entry tells a C
// agent where to get the password when it has to write the file; our agent uses the key instead.
func (f *file) request(r *request) *cjson.Object {
	question := ipc.Request(ipc.RequestAdd).SetObject(ipc.KeyConfig, f.config.Object())
	if r.lifetime >= 0 {
		question.SetInt(ipc.KeyLifetime, r.lifetime)
	}
	entry := r.password.Entry(f.name)
	if r.storeFor > 0 {
		entry.SetInt("expires_after", r.storeFor).SetInt("expires_at", time.Now().Unix()+r.storeFor)
	}
	return question.SetObject(ipc.KeyPwEntry, entry).
		SetInt(ipc.KeyConfirm, ipc.Flag(r.confirm)).
		SetInt(ipc.KeyAlwaysAllowIDToken, ipc.Flag(r.alwaysAllowIDToken)).
		SetInt(ipc.KeyAlwaysAllowID, ipc.Flag(r.alwaysAllowIDToken)).
		SetInt(ipc.KeyPlainAdd, ipc.Flag(r.skipCheck)).
		SetObject(ipc.KeyFileKey, cjson.New().SetText(ipc.KeyFile, f.path).SetSecret(ipc.KeyKey, f.key.Marshal()))
}

// loadAll loads every account that exists and is not loaded yet, with one password. It prints the accounts that
// it loads on stdout, and on stderr the others, such as those that have another password.
func loadAll(r *request) error {
	loaded, err := loadedNames(r)
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
		if err == nil {
			if format, unknown := crypt.Detect(f.data); unknown == nil && format != crypt.FormatGPG {
				locked = append(locked, f)
				continue
			}
			err = f.open(r.password) // gpg-agent asks for one passphrase at a time
		}
		if err == nil {
			_, err = ask(r, f.request(r))
		}
		report(name, err)
	}
	if len(locked) > 0 {
		err = prompt.Decrypt(r.password, "Enter decryption password for all account configs: ", crypt.ErrWrongPassword,
			func(password secret.Secret) error { return loadLocked(r, locked, password, report) })
	}
	return cmp.Or(err, failed)
}

// loadLocked opens files with the password and loads their accounts. Keys are derived in parallel, and accounts
// reported in order. If the password opens no file at all, loadLocked reports nothing and returns
// crypt.ErrWrongPassword, so that another password can be tried.
func loadLocked(r *request, files []*file, password secret.Secret, report func(string, error)) error {
	results := make([]chan error, len(files))
	derivations := make(chan struct{}, min(runtime.NumCPU(), 4)) // a semaphore: each takes 64 MiB
	for i, f := range files {
		results[i] = make(chan error, 1)
		go func() {
			derivations <- struct{}{}
			text, key, err := crypt.Open(f.data, password)
			<-derivations
			if err = f.parse(text, key, err); err == nil {
				_, err = ask(r, f.request(r))
			}
			results[i] <- err
		}()
	}
	var wrong []string
	for i, f := range files {
		if err := <-results[i]; errors.Is(err, crypt.ErrWrongPassword) {
			wrong = append(wrong, f.name)
		} else {
			report(f.name, err)
		}
	}
	if len(wrong) == len(files) {
		return crypt.ErrWrongPassword
	}
	for _, name := range wrong {
		report(name, crypt.ErrWrongPassword)
	}
	return nil
}
