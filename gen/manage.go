package main

import (
	"bytes"
	"cmp"
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

// decryptNamed decrypts a file that the user names by an account's name or by an absolute path.
func decryptNamed(ctx context.Context, r *request) (*file, error) {
	f := &file{path: r.argument}
	if !filepath.IsAbs(f.path) {
		dir, err := account.FindDir()
		if err != nil {
			return nil, err
		}
		if f.path == "" || f.path != filepath.Base(f.path) || f.path == ".." {
			return nil, fmt.Errorf("%q is neither the name of a file in %s nor an absolute path", f.path, dir.Path())
		}
		f.path = filepath.Join(dir.Path(), f.path)
	}
	return f, f.decrypt(ctx, r)
}

func printFile(ctx context.Context, r *request) error {
	f, err := decryptNamed(ctx, r)
	if err != nil {
		return err
	}
	text := f.text.Reveal()
	if !bytes.HasSuffix(text, []byte("\n")) {
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
	f, err := decryptNamed(ctx, r)
	if err != nil {
		return err
	}
	r.name = filepath.Base(f.path)
	if !f.password.IsEmpty() {
		r.format = cmp.Or(r.format, "scrypt")
	}
	key, err := f.newKey(ctx, r)
	if err != nil {
		return err
	}
	err = f.locked(func() error {
		text, err := f.newest()
		if err != nil {
			return err
		}
		// The text stays to the letter, but for an account that goes into C's format.
		if own, ok := key.(*crypt.Key); ok && own.Format() == crypt.FormatC {
			if config, err := account.Parse(text.Reveal()); err == nil && config.IssuerURL != "" {
				return writeAccount(f.path, config, key)
			}
		}
		return writeText(f.path, text, key)
	})
	if err != nil {
		return err
	}
	if dir, err := account.FindDir(); err == nil && filepath.Dir(f.path) == dir.Path() {
		_ = r.tellSaved(ctx, r.name, f.path, key) // an agent that has not loaded it need not know
	}
	_, err = fmt.Println("Updated config file format")
	return err
}

// findAccount finds the file of an account that exists.
func findAccount(r *request, what string) (dir account.Dir, f *file, err error) {
	if r.name == "" {
		return dir, nil, fmt.Errorf("You have to specify a shortname to %s", what)
	}
	if dir, err = account.FindDir(); err != nil {
		return dir, nil, err
	}
	f = new(file)
	if f.path, err = dir.File(r.name); err != nil {
		return dir, nil, err
	}
	if _, err = os.Stat(f.path); errors.Is(err, fs.ErrNotExist) {
		err = errors.New("No account configuration found with that shortname")
	}
	return dir, f, err
}

// rename gives the account another name, in its file and as its file. The client's name at the provider
// stays.
func rename(ctx context.Context, r *request) error {
	if r.noSave {
		return errors.New("--no-save and --rename contradict each other")
	}
	dir, f, err := findAccount(r, "rename it")
	if err != nil {
		return err
	}
	newPath, err := dir.File(r.argument)
	if err != nil {
		return err
	}
	if _, err := os.Stat(newPath); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("Account configuration '%s' already exists", r.argument)
	}
	if err := f.open(ctx, r); err != nil {
		return err
	}
	old := r.name
	r.name = r.argument
	key, err := f.newKey(ctx, r)
	if err != nil {
		return err
	}
	// An agent that knew the account by its old name could save no new refresh token any more.
	_, _ = ask(ctx, ipc.Request(ipc.RequestRemove).SetText(ipc.KeyAccount, old))
	return f.locked(func() error {
		text, err := f.newest()
		if err != nil {
			return err
		}
		config, err := account.Parse(text.Reveal())
		if err != nil {
			return err
		}
		config.Name = r.name
		if err := writeAccount(newPath, config, key); err != nil {
			return err
		}
		return dir.Remove(old)
	})
}

// reauthenticate logs the user in again for an account that exists and writes the new refresh token into its
// file, under the same key.
func reauthenticate(ctx context.Context, r *request) error {
	dir, f, err := findAccount(r, "update the refresh token for it")
	if err != nil {
		return err
	}
	if err := writable(dir); err != nil {
		return err
	}
	if err := r.findAgent(ctx); err != nil {
		return err
	}
	if err := f.open(ctx, r); err != nil {
		return err
	}
	finished, err := login(ctx, r, f.config)
	if err != nil || finished == nil {
		return err
	}
	return f.save(ctx, r, finished, f.key)
}

// deleteAccount revokes the account's refresh token, deletes the client that was registered for it, and
// removes its file.
func deleteAccount(ctx context.Context, r *request) error {
	if r.name == "" {
		return options(r).WrongOperands()
	}
	dir, f, err := findAccount(r, "delete it")
	if err != nil {
		return err
	}
	if err := r.findAgent(ctx); err != nil {
		return err
	}
	if err := f.open(ctx, r); err != nil {
		return err
	}
	if r.silent() && r.answers == prompt.Ask {
		return cli.WithHint(errors.New("deleting an account must be confirmed, and --prompt=none asks nothing"), "Add --confirm-yes.")
	}
	sure, err := prompt.Confirm("Do you really want to delete this configuration?", false, r.answers)
	if err != nil || !sure {
		return err
	}
	if err := revoke(ctx, r, f.config); err != nil {
		return err
	}
	deleteClient(ctx, f.config)
	if err := dir.Remove(r.name); err != nil {
		return err
	}
	_, err = fmt.Println("Successfully deleted account configuration.")
	return err
}

// revoke has the agent revoke the refresh token and forget the account. Where the provider refuses, the user
// decides whether the account goes all the same.
func revoke(ctx context.Context, r *request, config *account.Account) error {
	_, failed := ask(ctx, ipc.Request(ipc.RequestDelete).SetObject(ipc.KeyConfig, r.object(config)))
	if failed == nil {
		fmt.Println("The generated account was successfully removed from oidc-agent. You don't have to run oidc-add.")
		return nil
	}
	fmt.Fprintln(os.Stderr, "Error:", cli.Printable(failed.Error()))
	anyway, err := prompt.Confirm("Do you want to unload and delete anyway. You then have to revoke the refresh token manually.", false, r.answers)
	if err != nil {
		return err
	}
	if !anyway {
		return errors.New("The account was not removed from oidc-agent due to the above listed error. You can fix the error and try it again.")
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
