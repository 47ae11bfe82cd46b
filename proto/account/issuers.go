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

// Issuer is what the issuer.config files say about one provider. All but Issuer may be empty.
type Issuer struct {
	Issuer         string   `key:"issuer"`          // as the first file that names it spells it
	Accounts       []string `key:"accounts"`        // short names of the user's accounts there
	DefaultAccount string   `key:"default_account"` // see Default
	ConfigEndpoint string   `key:"config_endpoint"` // the discovery URL
	CertPath       string   `key:"cert_path"`       // a bundle of CAs
	Register       string   `key:"register"`        // the page where a person registers a client
	Contact        string   `key:"contact"`         // of those who run the provider
	PubClient      Client   `key:"pubclient"`       // a client that everybody may use; without an id there is none
	UserClient     Client   `key:"user_client"`     // the user's own, for all his accounts there; without an id there is none
	OAuth2         bool     `key:"oauth"`           // no OpenID Connect
	LegacyAudMode  bool     `key:"legacy_aud_mode"` // ask for audiences with `audience`, not RFC 8707's `resource`

	DeviceAuthorizationEndpoint string `key:"device_authorization_endpoint"` // beats what discovery says
}

// Client is one that needs no registration: it is known.
type Client struct {
	ClientID     string        `key:"client_id"`
	ClientSecret secret.Secret `key:"client_secret"`
	Scope        string        `key:"scope"` // separated by spaces
	RedirectURIs []string      `key:"redirect_uris"`
}

// Issuers are in the order in which they were read, the user's own first.
type Issuers []Issuer

// Find returns the issuer of that URL, with or without a trailing slash, nil if no file names it.
func (is Issuers) Find(issuer string) *Issuer {
	i := slices.IndexFunc(is, func(known Issuer) bool { return SameIssuer(known.Issuer, issuer) })
	if i < 0 {
		return nil
	}
	return &is[i]
}

// Default returns the short name of the account to use where only the issuer is given: the default
// account, else the first; "" if there is none.
func (i *Issuer) Default() string {
	if i.DefaultAccount == "" && len(i.Accounts) > 0 {
		return i.Accounts[0]
	}
	return i.DefaultAccount
}

const issuerFile = "issuer.config"

// LoadIssuers reads the user's issuer.config and issuer.config.d (oldest file first), then those in
// /etc/oidc-agent, or a list of public issuers of our own where /etc has none, then the public clients that
// 4.x keeps in pubclients.config, the user's first. What is read first wins, key by key. Files that do not
// exist do no harm. The error names every file that could not be used; the issuers are then those of the
// others.
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

// mergeIssuers makes one issuer of all objects that name it, with or without a trailing slash.
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

// issuerFiles returns the issuer.config of a directory and the files of its issuer.config.d, oldest first, those of
// one age by name.
func issuerFiles(dir string) []string {
	file, folder := filepath.Join(dir, issuerFile), filepath.Join(dir, "issuer.config.d")
	entries, err := os.ReadDir(folder)
	if err != nil {
		return []string{file, folder} // who reads that finds the same error
	}
	var paths []string
	written := make(map[string]time.Time)
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		info, err := os.Stat(path) // of what a link points to
		if err == nil && info.Mode().IsRegular() && entry.Name()[0] != '.' {
			paths = append(paths, path)
			written[path] = info.ModTime()
		}
	}
	slices.SortStableFunc(paths, func(a, b string) int { return written[a].Compare(written[b]) })
	return append([]string{file}, paths...)
}

// NoteAccount notes in the user's issuer.config that the account belongs to the issuer, or does not. A file in the 4.x
// format becomes one in the 5.x format, as 5.x does it; all else that the user wrote stays, and nothing of
// what LoadIssuers reads elsewhere gets in. It waits up to five seconds for others who write the file.
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

// builtinIssuers are public providers to choose from where the administrator has listed none. Their URLs
// are spelt as the providers spell them, for they must match what discovery says.
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
