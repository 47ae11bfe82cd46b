package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cli"
)

// newAccount makes an account: what is missing is asked for, the agent registers the client and logs the
// user in, and the result is encrypted into a file.
func newAccount(ctx context.Context, r *request) error {
	if err := r.findAgent(ctx); err != nil {
		return err
	}
	f := new(file)
	if !r.onlyAT {
		if err := f.choose(ctx, r); err != nil {
			return err
		}
	}
	config, err := describe(ctx, r, f.config)
	if err != nil {
		return err
	}
	if !r.manual && !r.onlyAT {
		if err := register(ctx, r, config); err != nil {
			return err
		}
	}
	finished, err := login(ctx, r, config)
	if err != nil || r.onlyAT {
		return err
	}
	return f.save(ctx, r, finished, nil)
}

// choose finds the account's name and its place, and makes sure that a file can be written there before
// anything is asked of a provider. With -m the account may exist: it is opened.
func (f *file) choose(ctx context.Context, r *request) (err error) {
	if r.name == "" {
		if r.name, err = askName(ctx, r); err != nil {
			return err
		}
	}
	dir, err := account.OpenDir()
	if err != nil {
		return err
	}
	if f.path, err = dir.File(r.name); err != nil {
		return err
	}
	_, err = os.Stat(f.path)
	switch {
	case err == nil && !r.manual:
		return cli.WithHint(fmt.Errorf("there is an account %q already", r.name),
			"Edit it with  oidc-gen -m "+r.name+"  log in again with  oidc-gen --reauthenticate "+r.name+"  or choose another name.")
	case err == nil:
		if err := f.open(ctx, r); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case r.manual:
		fmt.Println("No account exists with this short name. Creating new configuration ...")
	}
	if r.noSave {
		return nil
	}
	return writable(dir)
}

// writable makes sure that an account can be saved before the user has logged in for nothing.
func writable(dir account.Dir) error {
	if err := unix.Access(dir.Path(), unix.W_OK|unix.X_OK); err != nil {
		return cli.WithHint(fmt.Errorf("the account could not be saved: directory %q: %w", dir.Path(), err),
			"Make it writable, or name another one in OIDC_CONFIG_DIR.")
	}
	return nil
}

// describe puts together what the agent has to know of the account: options first, then what the account
// had, then questions.
func describe(ctx context.Context, r *request, old *account.Account) (*account.Account, error) {
	config, err := startingPoint(ctx, r, old)
	if err != nil {
		return nil, err
	}
	config.Name = r.name
	if config.ClientName == "" || r.cnid != "" {
		config.ClientName = clientName(r)
	}
	if err := askIssuer(ctx, r, config); err != nil {
		return nil, err
	}
	if r.public {
		if err := usePublicClient(config); err != nil {
			return nil, err
		}
		r.manual = true
	}
	byHand := (r.manual || r.onlyAT) && !config.UsesPubClient
	if byHand {
		if err := askClient(ctx, r, config); err != nil {
			return nil, err
		}
	}
	if err := askScope(ctx, r, config); err != nil {
		return nil, err
	}
	if byHand {
		err = askRedirectURIs(ctx, r, config)
	}
	return config, err
}

// startingPoint is the account of the options, laid over the account that -m edits or over the file of -f. A user's
// password at the provider is taken from nowhere else.
func startingPoint(ctx context.Context, r *request, old *account.Account) (*account.Account, error) {
	merged := new(account.Account).Object()
	switch {
	case old != nil:
		merged = old.Object()
	case r.clientFile != "":
		client, err := readClient(ctx, r)
		if err != nil {
			return nil, err
		}
		merged = client.Object()
	}
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

// clientName tells the user, in the provider's list of his clients, which one this is.
func clientName(r *request) string {
	place := r.cnid
	if place == "" {
		host, _ := os.Hostname()
		place, _, _ = strings.Cut(host, ".")
	}
	return "oidc-agent:" + r.name + "-" + place
}
