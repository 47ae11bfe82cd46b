package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

func list(_ context.Context, r *request) error {
	var names []string
	dir, err := account.FindDir()
	if err == nil {
		names, err = dir.List()
	}
	if err != nil && !errors.Is(err, account.ErrNoDir) {
		return err
	}
	if r.json {
		names = []string{string(cjson.New().SetTexts("names", names).Raw("names"))}
	}
	for _, name := range names {
		fmt.Println(name)
	}
	return nil
}

// place finds a file that the user names by an account's name or by an absolute path.
func place(file string) (string, error) {
	if filepath.IsAbs(file) {
		return file, nil
	}
	dir, err := account.FindDir()
	if err != nil {
		return "", err
	}
	if file == "" || file != filepath.Base(file) || file == ".." {
		return "", fmt.Errorf("%q is neither the name of a file in %s nor an absolute path", file, dir.Path())
	}
	return filepath.Join(dir.Path(), file), nil
}

// accountFile finds the file of an account that exists.
func accountFile(r *request, what string) (dir account.Dir, path string, err error) {
	if r.name == "" {
		return dir, "", fmt.Errorf("You have to specify a shortname to %s", what)
	}
	if dir, err = account.FindDir(); err != nil {
		return dir, "", err
	}
	if path, err = dir.File(r.name); err != nil {
		return dir, "", err
	}
	if _, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		err = errors.New("No account configuration found with that shortname")
	}
	return dir, path, err
}

func printFile(ctx context.Context, r *request) error {
	path, err := place(r.file)
	if err != nil {
		return err
	}
	o, err := openFile(ctx, r, path)
	if err != nil {
		return err
	}
	text := o.text.Reveal()
	if len(text) == 0 || text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	_, err = os.Stdout.Write(text)
	return err
}

// update decrypts a file and encrypts it again, in our format or the one of the options, with the same
// password. Plain JSON is encrypted.
func update(ctx context.Context, r *request) error {
	if r.noSave {
		return errors.New("--no-save and --update contradict each other")
	}
	path, err := place(r.file)
	if err != nil {
		return err
	}
	o, err := openFile(ctx, r, path)
	if err != nil {
		return err
	}
	r.name = filepath.Base(path)
	lock, err := updatedLock(ctx, r, o)
	if err != nil {
		return err
	}
	err = locked(path, func() error {
		text, err := o.newest(path)
		if err != nil {
			return err
		}
		return writeUpdated(path, text, lock)
	})
	if err != nil {
		return err
	}
	if dir, err := account.FindDir(); err == nil && filepath.Dir(path) == dir.Path() {
		_ = r.tellSaved(ctx, r.name, path, lock) // an agent that has not loaded it need not know
	}
	_, err = fmt.Println("Updated config file format")
	return err
}

func updatedLock(ctx context.Context, r *request, o *opened) (crypt.FileKey, error) {
	switch {
	case r.gpgKey != "" || r.format != 0 || o.password.IsEmpty():
		return newLock(ctx, r, o)
	}
	return crypt.NewKey(o.password, crypt.FormatScrypt)
}

// writeUpdated keeps the text to the letter, but for an account that goes into C's format.
func writeUpdated(path string, text secret.Secret, lock crypt.FileKey) error {
	if key, ok := lock.(*crypt.Key); ok && key.Format() == crypt.FormatC {
		if config, err := account.Parse(text.Reveal()); err == nil && config.IssuerURL != "" {
			return writeAccount(path, config, lock)
		}
	}
	return writeEncrypted(path, text, lock)
}

// rename gives the account another name, in its file and as its file. The client's name at the provider
// stays.
func rename(ctx context.Context, r *request) error {
	if r.noSave {
		return errors.New("--no-save and --rename contradict each other")
	}
	dir, path, err := accountFile(r, "rename it")
	if err != nil {
		return err
	}
	old := r.name
	newPath, err := dir.File(r.file)
	if err != nil {
		return err
	}
	if _, err := os.Stat(newPath); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("Account configuration '%s' already exists", r.file)
	}
	o, err := open(ctx, r, path)
	if err != nil {
		return err
	}
	r.name = r.file
	lock, err := newLock(ctx, r, o)
	if err != nil {
		return err
	}
	// An agent that knew the account by its old name could save no new refresh token any more.
	_, _ = ask(ctx, ipc.Request(ipc.RequestRemove).SetText(ipc.KeyAccount, old))
	return locked(path, func() error {
		text, err := o.newest(path)
		if err != nil {
			return err
		}
		config, err := account.Parse(text.Reveal())
		if err != nil {
			return err
		}
		config.Name = r.file
		if err := writeAccount(newPath, config, lock); err != nil {
			return err
		}
		return dir.Remove(old)
	})
}

// reauthenticate logs the user in again for an account that exists and writes the new refresh token into its
// file, under the same key.
func reauthenticate(ctx context.Context, r *request) error {
	dir, path, err := accountFile(r, "update the refresh token for it")
	if err != nil {
		return err
	}
	if err := writable(dir); err != nil {
		return err
	}
	if err := r.findAgent(ctx); err != nil {
		return err
	}
	o, err := open(ctx, r, path)
	if err != nil {
		return err
	}
	finished, err := login(ctx, r, o.config)
	if err != nil {
		return err
	}
	if err := locked(path, func() error { return writeAccount(path, finished, o.lock) }); err != nil {
		return err
	}
	if err := r.tellSaved(ctx, finished.Name, path, o.lock); err != nil {
		return err
	}
	_, err = fmt.Println("Everything setup correctly!")
	return err
}

// deleteAccount revokes the account's refresh token, deletes the client that was registered for it, and
// removes its file.
func deleteAccount(ctx context.Context, r *request) error {
	if r.name == "" {
		return options(r).WrongOperands()
	}
	dir, path, err := accountFile(r, "delete it")
	if err != nil {
		return err
	}
	if err := r.findAgent(ctx); err != nil {
		return err
	}
	o, err := open(ctx, r, path)
	if err != nil {
		return err
	}
	if r.silent() && r.answers == prompt.Ask {
		return cli.WithHint(errors.New("deleting an account must be confirmed, and --prompt=none asks nothing"), "Add --confirm-yes.")
	}
	sure, err := prompt.Confirm(ctx, "Do you really want to delete this configuration?", false, r.answers)
	if err != nil || !sure {
		return err
	}
	if err := revoke(ctx, r, o.config); err != nil {
		return err
	}
	deleteClient(ctx, o.config)
	if err := dir.Remove(r.name); err != nil {
		return err
	}
	_, err = fmt.Println("Successfully deleted account configuration.")
	return err
}

var errNotDeleted = errors.New("The account was not removed from oidc-agent due to the above listed error. You can fix the error and try it again.")

// revoke has the agent revoke the refresh token and forget the account. Where the provider refuses, the user
// decides whether the account goes all the same.
func revoke(ctx context.Context, r *request, config *account.Account) error {
	_, failed := ask(ctx, ipc.Request(ipc.RequestDelete).SetObject(ipc.KeyConfig, r.object(config)))
	if failed == nil {
		fmt.Println("The generated account was successfully removed from oidc-agent. You don't have to run oidc-add.")
		return nil
	}
	fmt.Fprintln(os.Stderr, "Error:", cli.Printable(failed.Error()))
	anyway, err := prompt.Confirm(ctx, "Do you want to unload and delete anyway. You then have to revoke the refresh token manually.", false, r.answers)
	if err == nil && !anyway {
		err = errNotDeleted
	}
	if err != nil {
		return err
	}
	_, err = ask(ctx, ipc.Request(ipc.RequestRemove).SetText(ipc.KeyAccount, r.name))
	if errors.Is(err, ipc.ErrNotLoaded) {
		return nil
	}
	return err
}

// deleteClient removes the client that was registered for the account (RFC 7592 section 2.3). A client that
// stays behind is no reason to keep the account.
func deleteClient(ctx context.Context, config *account.Account) {
	uri, token := config.Extra().Text("registration_client_uri"), config.Extra().Secret("registration_access_token")
	if uri == "" || token.IsEmpty() {
		return
	}
	question := ipc.Request(ipc.RequestDeleteClient).SetText("registration_client_uri", uri).
		SetSecret("registration_access_token", token).SetText(ipc.KeyCertPath, config.CertPath)
	if _, err := ask(ctx, question); err != nil {
		fmt.Fprintln(os.Stderr, "Warning: the client stays registered:", err)
	}
}
