package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
)

func list(r *request) error {
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

// decryptNamed decrypts the file that the user names: a file in the directory of accounts, or an absolute path.
func decryptNamed(r *request) (*file, error) {
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
	return f, f.decrypt(r)
}

func printFile(r *request) error {
	f, err := decryptNamed(r)
	if err != nil {
		return err
	}
	_, err = fmt.Printf("%s\n", bytes.TrimSuffix(f.text.Reveal(), []byte("\n")))
	return err
}

// update decrypts a file and encrypts it again under the same password, in our format or the one that an option
// names. A file of plain JSON gets a password.
func update(r *request) error {
	if r.noSave {
		return errors.New("--no-save and --update contradict each other")
	}
	f, err := decryptNamed(r)
	if err != nil {
		return err
	}
	r.name = filepath.Base(f.path)
	if !f.password.IsEmpty() {
		r.format = cmp.Or(r.format, "scrypt")
	}
	key, err := f.newKey(r)
	if err == nil {
		err = f.rewrite(f.path, key)
	}
	if err != nil {
		return err
	}
	if dir, err := account.FindDir(); err == nil && filepath.Dir(f.path) == dir.Path() {
		_ = r.tellSaved(r.name, f.path, key) // an agent that has not loaded the account need not know
	}
	_, err = fmt.Println("Updated config file format")
	return err
}

// existing opens the file of the account that the user wants to change. purpose completes the C tool's message.
func (r *request) existing(purpose string, withAgent bool) (*file, error) {
	if r.name == "" {
		return nil, fmt.Errorf("You have to specify a shortname to %s", purpose)
	}
	f, err := r.locate(r.name, account.FindDir)
	if err == nil && !f.exists {
		err = errors.New("No account configuration found with that shortname")
	}
	if err == nil && withAgent {
		err = r.findAgent()
	}
	if err == nil {
		err = f.open(r)
	}
	return f, err
}

// rename moves the account to another file and gives it that name. The client keeps its name at the provider.
func rename(r *request) error {
	if r.noSave {
		return errors.New("--no-save and --rename contradict each other")
	}
	to, err := r.vacant()
	if err != nil {
		return err
	}
	f, err := r.existing("rename it", false)
	if err != nil {
		return err
	}
	old := r.name
	r.name = r.argument // newKey asks for the new file's password
	key, err := f.newKey(r)
	if err != nil {
		return err
	}
	return to.locked(func() error {
		if _, err := r.vacant(); err != nil { // someone may have made it while the user was typing
			return err
		}
		// An agent that has loaded the account under its old name could not save a new refresh token any more.
		_, _ = ask(ipc.Request(ipc.RequestRemove).SetText(ipc.KeyAccount, old))
		return f.rewrite(to.path, key)
	})
}

// vacant returns the file that rename makes, which must not exist yet.
func (r *request) vacant() (*file, error) {
	f, err := r.locate(r.argument, account.FindDir)
	if err == nil && f.exists {
		err = fmt.Errorf("Account configuration '%s' already exists", r.argument)
	}
	return f, err
}

// reauthenticate logs the user in again and writes the new refresh token to the file, under the same key.
func reauthenticate(r *request) error {
	f, err := r.existing("update the refresh token for it", true)
	if err != nil {
		return err
	}
	answer, err := r.login(f.config)
	if err != nil {
		return err
	}
	return f.save(r, answer, f.key)
}

// deleteAccount revokes the refresh token, deletes the client that was registered for the account, and its file.
func deleteAccount(r *request) error {
	if r.name == "" {
		return options(r).WrongOperands()
	}
	f, err := r.existing("delete it", true)
	if err != nil {
		return err
	}
	if r.silent() && r.answers == "" {
		return cli.WithHint(errors.New("deleting an account must be confirmed, but --prompt=none asks nothing"),
			"Add --confirm-yes.")
	}
	sure, err := prompt.Confirm("Do you really want to delete this configuration?", false, r.answers)
	if err != nil || !sure {
		return err
	}
	if err := r.revoke(f.config); err != nil {
		return err
	}
	deleteClient(f.config)
	if err := f.dir.Remove(r.name); err != nil {
		return err
	}
	_, err = fmt.Println("Successfully deleted account configuration.")
	return err
}

// revoke has the agent revoke the refresh token and forget the account. If that fails, the user decides whether
// to delete the account anyway.
func (r *request) revoke(config *account.Account) error {
	_, failed := ask(r.about(ipc.RequestDelete, config))
	if failed == nil {
		fmt.Println("The generated account was successfully removed from oidc-agent. You don't have to run oidc-add.")
		return nil
	}
	fmt.Fprintln(os.Stderr, "Error:", cli.Printable(failed.Error()))
	anyway, err := prompt.Confirm("Do you want to unload and delete anyway. "+
		"You then have to revoke the refresh token manually.", false, r.answers)
	if err == nil && !anyway {
		err = errors.New("The account was not removed from oidc-agent due to the above listed error. " +
			"You can fix the error and try it again.")
	}
	if err != nil {
		return err
	}
	_, err = ask(ipc.Request(ipc.RequestRemove).SetText(ipc.KeyAccount, r.name))
	if errors.Is(err, ipc.ErrNotLoaded) {
		return nil
	}
	return err
}

// deleteClient deletes the client that was registered for the account (RFC 7592 section 2.3). If that fails,
// the account is deleted all the same.
func deleteClient(config *account.Account) {
	uri, token := config.Extra().Text("registration_client_uri"), config.Extra().Secret("registration_access_token")
	if uri == "" || token.IsEmpty() {
		return
	}
	question := ipc.Request(ipc.RequestDeleteClient).SetText("registration_client_uri", uri).
		SetSecret("registration_access_token", token).SetText(ipc.KeyCertPath, config.CertPath)
	if _, err := ask(question); err != nil {
		fmt.Fprintln(os.Stderr, "Warning: the client stays registered:", cli.Printable(err.Error()))
	}
}
