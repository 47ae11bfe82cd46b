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

// decryptNamed decrypts a file that the user names by an account's name or by an absolute path.
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

// update decrypts a file and encrypts it again, in our format or the one of the options, with the same
// password. Plain JSON is encrypted.
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
		err = f.rewrite(f.path, "", key)
	}
	if err != nil {
		return err
	}
	if dir, err := account.FindDir(); err == nil && filepath.Dir(f.path) == dir.Path() {
		_ = r.tellSaved(r.name, f.path, key) // an agent that has not loaded it need not know
	}
	_, err = fmt.Println("Updated config file format")
	return err
}

// existing opens the file of an account that is to be changed, with the agent's help or without.
func (r *request) existing(what string, withAgent bool) (*file, error) {
	if r.name == "" {
		return nil, fmt.Errorf("You have to specify a shortname to %s", what)
	}
	f, exists, err := r.locate(account.FindDir)
	if err == nil && !exists {
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

// rename gives the account another name, in its file and as its file. The client's name at the provider
// stays.
func rename(r *request) error {
	if r.noSave {
		return errors.New("--no-save and --rename contradict each other")
	}
	renamed := *r
	renamed.name = r.argument
	to, exists, err := renamed.locate(account.FindDir)
	if err == nil && exists {
		err = fmt.Errorf("Account configuration '%s' already exists", renamed.name)
	}
	if err != nil {
		return err
	}
	f, err := r.existing("rename it", false)
	if err != nil {
		return err
	}
	key, err := f.newKey(&renamed)
	if err != nil {
		return err
	}
	// An agent that knew the account by its old name could save no new refresh token any more.
	_, _ = ask(ipc.Request(ipc.RequestRemove).SetText(ipc.KeyAccount, r.name))
	return f.rewrite(to.path, renamed.name, key)
}

// reauthenticate logs the user in again for an account that exists and writes the new refresh token into its
// file, under the same key.
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

// deleteAccount revokes the account's refresh token, deletes the client that was registered for it, and
// removes its file.
func deleteAccount(r *request) error {
	if r.name == "" {
		return options(r).WrongOperands()
	}
	f, err := r.existing("delete it", true)
	if err != nil {
		return err
	}
	if r.silent() && r.answers == "" {
		return cli.WithHint(errors.New("deleting an account must be confirmed, and --prompt=none asks nothing"), "Add --confirm-yes.")
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

// revoke has the agent revoke the refresh token and forget the account. Where the provider refuses, the user
// decides whether the account goes all the same.
func (r *request) revoke(config *account.Account) error {
	_, failed := ask(r.about(ipc.RequestDelete, config))
	if failed == nil {
		fmt.Println("The generated account was successfully removed from oidc-agent. You don't have to run oidc-add.")
		return nil
	}
	fmt.Fprintln(os.Stderr, "Error:", cli.Printable(failed.Error()))
	anyway, err := prompt.Confirm("Do you want to unload and delete anyway. You then have to revoke the refresh token manually.", false, r.answers)
	if err == nil && !anyway {
		err = errors.New("The account was not removed from oidc-agent due to the above listed error. You can fix the error and try it again.")
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

// deleteClient removes the client that was registered for the account (RFC 7592 section 2.3). A client that
// stays behind is no reason to keep the account.
func deleteClient(config *account.Account) {
	uri, token := config.Extra().Text("registration_client_uri"), config.Extra().Secret("registration_access_token")
	if uri == "" || token.IsEmpty() {
		return
	}
	question := ipc.Request(ipc.RequestDeleteClient).SetText("registration_client_uri", uri).
		SetSecret("registration_access_token", token).SetText(ipc.KeyCertPath, config.CertPath)
	if _, err := ask(question); err != nil {
		fmt.Fprintln(os.Stderr, "Warning: the client stays registered:", err)
	}
}
