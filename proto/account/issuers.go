package account

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// Issuer holds what the issuer.config files say about one provider. All fields but Issuer may be empty.
type Issuer struct {
	Issuer         string   `key:"issuer"`          // URL, as the first file spells it
	Accounts       []string `key:"accounts"`        // short names of the user's accounts with this issuer
	DefaultAccount string   `key:"default_account"` // see Default
	ConfigEndpoint string   `key:"config_endpoint"` // the discovery URL
	CertPath       string   `key:"cert_path"`       // a bundle of CAs
	Register       string   `key:"register"`        // web page where users register a client
	Contact        string   `key:"contact"`         // of the provider's administrators
	PubClient      Client   `key:"pubclient"`       // a client for everyone; without an id there is none
	UserClient     Client   `key:"user_client"`     // the user's client for all accounts; without an id there is none
	OAuth2         bool     `key:"oauth"`           // the provider lacks OpenID Connect
	LegacyAudMode  bool     `key:"legacy_aud_mode"` // request audiences with `audience`, not RFC 8707's `resource`

	DeviceAuthorizationEndpoint string `key:"device_authorization_endpoint"` // overrides discovery
}

// Client is a client that is registered already.
type Client struct {
	ClientID     string        `key:"client_id"`
	ClientSecret secret.Secret `key:"client_secret"`
	Scope        string        `key:"scope"` // separated by spaces
	RedirectURIs []string      `key:"redirect_uris"`
}

// Issuers is a list of issuers in the order in which they were read, the user's own first.
type Issuers []Issuer

// Find returns the issuer with the given URL, with or without a trailing slash, or nil.
func (is Issuers) Find(issuer string) *Issuer {
	i := slices.IndexFunc(is, func(known Issuer) bool { return SameIssuer(known.Issuer, issuer) })
	if i < 0 {
		return nil
	}
	return &is[i]
}

// Default returns the short name of the account to use if the user gives the issuer only: the default account, or
// else the first one, or else "".
func (i *Issuer) Default() string {
	if i.DefaultAccount == "" && len(i.Accounts) > 0 {
		return i.Accounts[0]
	}
	return i.DefaultAccount
}

const issuerFile = "issuer.config"

// LoadIssuers reads the user's issuer.config and issuer.config.d (oldest file first), then those in
// /etc/oidc-agent, or a built-in list if /etc has no issuers, and then the public clients that 4.x keeps in
// pubclients.config, the user's first. The first value of a key counts. Missing files are no error. The error
// names every file that cannot be used, and the result holds the issuers of the others.
func LoadIssuers() (Issuers, error) { return loadIssuers(places()) }

func loadIssuers(dirs []string) (Issuers, error) {
	var all []*cjson.Object
	var failures error
	read := func(line lineFunc, paths ...string) (n int) {
		for _, path := range paths {
			objects, err := readObjects(path, line)
			failures = errors.Join(failures, err)
			all, n = append(all, objects...), n+len(objects)
		}
		return n
	}
	site := len(dirs) - 1
	for _, user := range dirs[:site] {
		read(userLine, issuerFiles(user)...)
	}
	if read(etcLine, issuerFiles(dirs[site])...) == 0 {
		for _, issuer := range builtinIssuers {
			all = append(all, cjson.New().SetText("issuer", issuer))
		}
	}
	for _, dir := range dirs {
		read(pubClientLine, filepath.Join(dir, "pubclients.config"))
	}
	return mergeIssuers(all), failures
}

// mergeIssuers merges the objects that name the same issuer.
func mergeIssuers(objects []*cjson.Object) Issuers {
	var merged []*cjson.Object
	for _, o := range objects {
		issuer := issuerOf(o)
		i := slices.IndexFunc(merged, func(m *cjson.Object) bool { return SameIssuer(m.Text("issuer"), issuer) })
		switch {
		case issuer == "":
		case i < 0:
			merged = append(merged, o.SetText("issuer", issuer))
		default:
			for _, key := range o.Keys() {
				if !merged[i].Has(key) {
					merged[i].SetRaw(key, o.Raw(key))
				}
			}
		}
	}
	issuers := make(Issuers, len(merged))
	for i, o := range merged {
		fromJSON(o, &issuers[i])
	}
	return issuers
}

func issuerOf(o *cjson.Object) string { return cmp.Or(o.Text("issuer"), o.Text("issuer_url")) }

// issuerFiles returns the issuer.config of a directory and the files in its issuer.config.d, oldest first, files
// of the same age by name.
func issuerFiles(dir string) []string {
	file, folder := filepath.Join(dir, issuerFile), filepath.Join(dir, "issuer.config.d")
	entries, err := os.ReadDir(folder)
	if err != nil {
		return []string{file, folder} // reading that as a file reports the same error
	}
	var paths []string
	written := make(map[string]time.Time)
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		info, err := os.Stat(path) // follows links
		if err == nil && info.Mode().IsRegular() && entry.Name()[0] != '.' {
			paths = append(paths, path)
			written[path] = info.ModTime()
		}
	}
	slices.SortStableFunc(paths, func(a, b string) int { return written[a].Compare(written[b]) })
	return append([]string{file}, paths...)
}

// NoteAccount records in the user's issuer.config whether the account belongs to the issuer. A file in the 4.x
// format is converted to the 5.x format, as 5.x does. Everything else in the file stays as it is, and nothing from
// other files is added. NoteAccount waits up to five seconds for other writers of the file.
func NoteAccount(d Dir, issuer, name string, belongs bool) error {
	if d.path == "" {
		return ErrNoDir
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	path := filepath.Join(d.path, issuerFile)
	unlock, err := Lock(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	entries, err := readEntries(path, userLine)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var o *cjson.Object
	i := slices.IndexFunc(entries, func(entry []byte) bool {
		o, err = cjson.Parse(entry)
		return err == nil && issuerOf(o) != "" && SameIssuer(issuerOf(o), issuer)
	})
	if i < 0 && !belongs {
		return nil
	}
	if i < 0 {
		i, entries, o = len(entries), append(entries, nil), cjson.New().SetText("issuer", issuer)
	}
	before, accounts := o.Compact(), o.Texts("accounts")
	switch {
	case !belongs:
		accounts = slices.DeleteFunc(accounts, func(account string) bool { return account == name })
		if o.Text("default_account") == name {
			o.Delete("default_account")
		}
	case !slices.Contains(accounts, name):
		accounts = append(accounts, name)
	}
	entries[i] = o.SetTexts("accounts", accounts).Compact()
	if bytes.Equal(entries[i], before) {
		return nil
	}
	return WriteFile(path, append(cjson.LayoutArray(entries), '\n'))
}

// builtinIssuers is a list of public providers for users whose site has none. The URLs are spelled as in the
// providers' metadata, which they must match.
var builtinIssuers = [...]string{
	"https://b2access.eudat.eu:8443/oauth2",
	"https://login.helmholtz.de/oauth2",
	"https://cilogon.org",
	"https://login.elixir-czech.org/oidc/",
	"https://aai-dev.egi.eu/auth/realms/egi",
	"https://oidc.scc.kit.edu/auth/realms/kit",
	"https://wlcg.cloud.cnaf.infn.it/",
	"https://alice-auth.cern.ch/",
	"https://atlas-auth.cern.ch/",
	"https://cms-auth.cern.ch/",
	"https://lhcb-auth.cern.ch/",
	"https://dteam-auth.cern.ch/",
	"https://alice-auth.web.cern.ch/",
	"https://atlas-auth.web.cern.ch/",
	"https://cms-auth.web.cern.ch/",
	"https://lhcb-auth.web.cern.ch/",
	"https://aai.egi.eu/auth/realms/egi",
	"https://accounts.google.com",
	"https://iam.deep-hybrid-datacloud.eu/",
	"https://bildungsproxy.aai.dfn.de",
	"https://iam.extreme-datacloud.eu/",
	"https://aai-demo.egi.eu/auth/realms/egi",
	"https://iam-test.indigo-datacloud.eu/",
	"https://auth.didmos.nfdi-aai.de",
	"https://login-dev.helmholtz.de/oauth2",
	"https://iam-demo.cloud.cnaf.infn.it/",
	"https://fels.scc.kit.edu/oidc/realms/fels",
	"https://keycloak.desy.de/auth/realms/production",
	"https://regapp.nfdi-aai.de/oidc/realms/nfdi_demo",
}
