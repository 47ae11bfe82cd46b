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
	t := new(target)
	if !r.onlyAT {
		if err := t.choose(ctx, r); err != nil {
			return err
		}
	}
	config, err := describe(ctx, r, t)
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
	return t.save(ctx, r, finished)
}

// target is where the account will be.
type target struct {
	dir  account.Dir
	path string
	old  *opened // with -m: the account that exists
}

// choose finds the account's name and its place, and makes sure that a file can be written there before
// anything is asked of a provider.
func (t *target) choose(ctx context.Context, r *request) (err error) {
	if r.name == "" {
		if r.name, err = askName(ctx, r); err != nil {
			return err
		}
	}
	if t.dir, err = account.OpenDir(); err != nil {
		return err
	}
	if t.path, err = t.dir.File(r.name); err != nil {
		return err
	}
	_, err = os.Stat(t.path)
	switch {
	case err == nil && !r.manual:
		return cli.WithHint(fmt.Errorf("there is an account %q already", r.name),
			"Edit it with  oidc-gen -m "+r.name+"  log in again with  oidc-gen --reauthenticate "+r.name+"  or choose another name.")
	case err == nil:
		if t.old, err = open(ctx, r, t.path); err != nil {
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
	return writable(t.dir)
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
func describe(ctx context.Context, r *request, t *target) (*account.Account, error) {
	config, err := r.startingPoint(ctx, t)
	if err != nil {
		return nil, err
	}
	config.Name = r.name
	if config.ClientName == "" || r.cnid != "" {
		config.ClientName = clientName(r)
	}
	if err := askIssuer(ctx, r, t, config); err != nil {
		return nil, err
	}
	if r.public {
		if err := usePublicClient(t.dir, config); err != nil {
			return nil, err
		}
		r.manual = true
	}
	if r.manual || r.onlyAT {
		if err := askClient(ctx, r, config); err != nil {
			return nil, err
		}
	}
	if err := askScope(ctx, r, config); err != nil {
		return nil, err
	}
	if (r.manual || r.onlyAT) && !config.UsesPubClient {
		if err := askRedirectURIs(ctx, r, config); err != nil {
			return nil, err
		}
	}
	return config, nil
}

// startingPoint is the account of the options, laid over the file of -f or over the account that -m edits.
func (r *request) startingPoint(ctx context.Context, t *target) (*account.Account, error) {
	base := new(account.Account)
	switch {
	case t.old != nil:
		base = t.old.config
	case r.clientFile != "":
		var err error
		if base, err = readClient(ctx, r); err != nil {
			return nil, err
		}
	}
	g := r.given
	for _, f := range [...]struct{ to, from *string }{
		{&base.IssuerURL, &g.IssuerURL}, {&base.ConfigEndpoint, &g.ConfigEndpoint}, {&base.ClientID, &g.ClientID},
		{&base.CertPath, &g.CertPath}, {&base.AuthScope, &g.AuthScope}, {&base.Audience, &g.Audience},
		{&base.Username, &g.Username}, {&base.DeviceAuthorizationEndpoint, &g.DeviceAuthorizationEndpoint},
	} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
	if !g.ClientSecret.IsEmpty() {
		base.ClientSecret = g.ClientSecret
	}
	if !g.RefreshToken.IsEmpty() {
		base.RefreshToken = g.RefreshToken
	}
	if len(g.RedirectURIs) > 0 {
		base.RedirectURIs = g.RedirectURIs
	}
	base.Password = g.Password
	base.OAuth2 = base.OAuth2 || g.OAuth2
	base.DeviceAuthorizationEndpointByUser = base.DeviceAuthorizationEndpointByUser || g.DeviceAuthorizationEndpointByUser
	return base, nil
}

// clientName tells the user, in the provider's list of his clients, which one this is.
func clientName(r *request) string {
	place := r.cnid
	if place == "" {
		if host, err := os.Hostname(); err == nil {
			place, _, _ = strings.Cut(host, ".")
		}
	}
	return "oidc-agent:" + r.name + "-" + place
}

// usePublicClient takes the client that issuer.config knows for everybody's use.
func usePublicClient(dir account.Dir, config *account.Account) error {
	issuers, err := account.LoadIssuers(dir)
	if err != nil {
		return err
	}
	known := issuers.Find(config.IssuerURL)
	if known == nil || known.PubClient == nil {
		return fmt.Errorf("no public client is known for the issuer %q", config.IssuerURL)
	}
	config.ClientID, config.ClientSecret = known.PubClient.ClientID, known.PubClient.ClientSecret
	config.UsesPubClient = true
	if len(known.PubClient.RedirectURIs) > 0 {
		config.RedirectURIs = known.PubClient.RedirectURIs
	}
	if config.AuthScope == "" {
		config.AuthScope = known.PubClient.Scope
	}
	return nil
}
