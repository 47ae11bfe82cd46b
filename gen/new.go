package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cli"
)

// newAccount creates an account: it asks for what is missing, has the agent register a client and log the user
// in, and encrypts the result into a file.
func newAccount(r *request) error {
	if err := r.findAgent(); err != nil {
		return err
	}
	f, err := r.choose()
	if err != nil {
		return err
	}
	config, err := r.describe(f.config)
	if err == nil && !r.manual && !r.onlyAT {
		err = r.register(config)
	}
	if err != nil {
		return err
	}
	answer, err := r.login(config)
	if err != nil {
		return err
	}
	return f.save(r, answer, nil)
}

// choose asks for the account's name and makes sure that its file can be written, before anything is asked of a
// provider. With -m the account may exist: choose opens it. --only-at needs no file.
func (r *request) choose() (*file, error) {
	if r.onlyAT {
		return new(file), nil
	}
	if err := r.askName(); err != nil {
		return nil, err
	}
	f, err := r.locate(r.name, account.OpenDir)
	switch {
	case err != nil:
	case f.exists && !r.manual:
		err = cli.WithHint(fmt.Errorf("there is an account %q already", r.name), "Edit it:  oidc-gen -m "+r.name+
			"  or log in again:  oidc-gen --reauthenticate "+r.name+"  or choose another name.")
	case f.exists:
		err = f.open(r)
	case r.manual:
		fmt.Println("No account exists with this short name. Creating new configuration ...")
	}
	return f, err
}

// describe collects what the agent has to know about the account: from the options, then from the account that
// -m edits (old, otherwise nil), then from issuer.config, then by asking the user.
func (r *request) describe(old *account.Account) (*account.Account, error) {
	config, err := r.startingPoint(old)
	if err != nil {
		return nil, err
	}
	config.Name = r.name
	if config.ClientName == "" || r.cnid != "" { // by this name users recognize the client in the provider's list
		host, _ := os.Hostname()
		host, _, _ = strings.Cut(host, ".")
		config.ClientName = "oidc-agent:" + r.name + "-" + cmp.Or(r.cnid, host)
	}
	if err := r.askIssuer(config); err != nil {
		return nil, err
	}
	hasClient, err := r.useKnownIssuer(config)
	if err != nil {
		return nil, err
	}
	byHand := (r.manual || r.onlyAT) && !config.UsesPubClient && !hasClient
	r.manual = r.manual || hasClient // nothing to register
	if byHand {
		err = r.askClient(config)
	}
	if err == nil {
		err = r.askScope(config)
	}
	if err == nil && byHand {
		err = r.askRedirectURIs(config)
	}
	return config, err
}

// startingPoint lays the options over the account that -m edits, or over the file of -f: a client or an account, as
// plain JSON or encrypted. The user's password at the provider comes from the options only.
func (r *request) startingPoint(old *account.Account) (*account.Account, error) {
	if old == nil && r.clientFile != "" {
		f := &file{path: r.clientFile}
		err := f.open(r)
		if errors.Is(err, crypt.ErrFormat) {
			err = fmt.Errorf("%q is neither JSON nor an encrypted file", r.clientFile)
		}
		if err != nil {
			return nil, err
		}
		old = f.config
		old.Extra().Delete("scope") // 4.x's name for AuthScope
	}
	merged := cmp.Or(old, new(account.Account)).Object()
	given := r.given.Object()
	for _, key := range given.Keys() {
		switch string(given.Raw(key)) {
		case `""`, "0", "{}":
		default:
			merged.SetRaw(key, given.Raw(key))
		}
	}
	merged.SetSecret("password", r.given.Password)
	defer merged.Wipe()
	return account.FromObject(merged)
}
