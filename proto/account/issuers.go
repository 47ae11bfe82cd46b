package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// Issuer is what the issuer.config files say about one provider. All but Issuer may be empty.
type Issuer struct {
	Issuer                      string      // "issuer" (or "issuer_url"), as the first file that names it spells it
	Accounts                    []string    // "accounts": short names of the user's accounts there
	DefaultAccount              string      // "default_account"; see Default
	ConfigEndpoint              string      // "config_endpoint": the discovery URL
	CertPath                    string      // "cert_path": a bundle of CAs
	DeviceAuthorizationEndpoint string      // "device_authorization_endpoint"
	Register                    string      // "register": the page where a person registers a client
	Contact                     string      // "contact" of those who run the provider
	PubClient                   *PubClient  // "pubclient": a client that everybody may use; nil if there is none
	UserClient                  *UserClient // "user_client": the user's own client for all accounts there; nil if there is none
	PwStore                     bool        // "pw-store": keep the encryption password in memory
	OAuth2                      bool        // "oauth": the provider knows no OpenID Connect
	LegacyAudMode               bool        // "legacy_aud_mode": ask for audiences with `audience`, not RFC 8707's `resource`
}

// PubClient is a client that needs no registration.
type PubClient struct {
	ClientID     string
	ClientSecret secret.Secret
	Scope        string   // separated by spaces
	Flow         []string // names as for oidc-gen --flow
	RedirectURIs []string
}

// UserClient is a client that the user has registered once for all accounts of an issuer.
type UserClient PubClient

// Issuers are in the order in which they were read, the user's own first.
type Issuers []Issuer

// Find returns the issuer of that URL, with or without a trailing slash, nil if no file names it.
func (is Issuers) Find(issuer string) *Issuer {
	for i := range is {
		if SameIssuer(is[i].Issuer, issuer) {
			return &is[i]
		}
	}
	return nil
}

// Default returns the short name of the account to use where only the issuer is given: the default
// account, else the first; "" if there is none.
func (i *Issuer) Default() string {
	if i.DefaultAccount == "" && len(i.Accounts) > 0 {
		return i.Accounts[0]
	}
	return i.DefaultAccount
}

const (
	etc        = "/etc/oidc-agent"
	issuerFile = "issuer.config"
	issuerDir  = "issuer.config.d"
)

// LoadIssuers reads the user's issuer.config and issuer.config.d (oldest file first), then those in
// /etc/oidc-agent, or a list of public issuers of our own where /etc has none, then the public clients that
// 4.x keeps in pubclients.config, the user's first. What is read first wins, key by key. Files that do not
// exist do no harm. The error names every file that could not be used; the issuers are then those of the
// others.
func LoadIssuers(d Dir) (Issuers, error) { return loadIssuers(d, etc) }

func loadIssuers(d Dir, etc string) (Issuers, error) {
	objects, err1 := readIssuers(d.path, userLine)
	system, err2 := readIssuers(etc, etcLine)
	if len(system) == 0 {
		system = builtinIssuers()
	}
	userClients, err3 := readPubClients(d.path)
	etcClients, err4 := readPubClients(etc)
	return mergeIssuers(slices.Concat(objects, system, userClients, etcClients)), errors.Join(err1, err2, err3, err4)
}

// mergeIssuers makes one issuer of all objects that name it, with or without a trailing slash.
func mergeIssuers(objects []*cjson.Object) Issuers {
	var order []string
	var merged []*cjson.Object
	for _, o := range objects {
		issuer := issuerOf(o)
		if issuer == "" {
			continue
		}
		if i := slices.IndexFunc(order, func(known string) bool { return SameIssuer(known, issuer) }); i >= 0 {
			mergeMissing(merged[i], o)
			continue
		}
		order = append(order, issuer)
		merged = append(merged, o)
	}
	issuers := make(Issuers, len(order))
	for i, issuer := range order {
		issuers[i] = newIssuer(issuer, merged[i])
	}
	return issuers
}

// readIssuers reads issuer.config and issuer.config.d of one directory, "" for none; line reads a line of
// the 4.x format.
func readIssuers(dir string, line lineFunc) ([]*cjson.Object, error) {
	if dir == "" {
		return nil, nil
	}
	paths, err := issuerFiles(filepath.Join(dir, issuerDir))
	errs := []error{err}
	var objects []*cjson.Object
	for _, path := range append([]string{filepath.Join(dir, issuerFile)}, paths...) {
		entries, err := readIssuerFile(path, line)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		objects = append(objects, objectsOf(entries)...)
	}
	return objects, errors.Join(errs...)
}

// objectsOf leaves out the entries of a list that are no objects.
func objectsOf(entries [][]byte) []*cjson.Object {
	var objects []*cjson.Object
	for _, entry := range entries {
		if o, err := cjson.Parse(entry); err == nil {
			objects = append(objects, o)
		}
	}
	return objects
}

// issuerFiles returns the files of an issuer.config.d, oldest first, those of one age by name.
func issuerFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing issuers: %w", err)
	}
	type file struct {
		path string
		info fs.FileInfo
	}
	var files []file
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		info, err := os.Stat(path) // of what a link points to
		if err == nil && info.Mode().IsRegular() && entry.Name()[0] != '.' {
			files = append(files, file{path, info})
		}
	}
	slices.SortStableFunc(files, func(a, b file) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	var paths []string
	for _, f := range files {
		paths = append(paths, f.path)
	}
	return paths, nil
}

// mergeMissing gives o the members of other whose keys it lacks.
func mergeMissing(o, other *cjson.Object) {
	for _, key := range other.Keys() {
		if !o.Has(key) {
			o.SetRaw(key, other.Raw(key))
		}
	}
}

func issuerOf(o *cjson.Object) string { return firstText(o, "issuer", "issuer_url") }

func newIssuer(issuer string, o *cjson.Object) Issuer {
	return Issuer{
		Issuer:                      issuer,
		Accounts:                    o.Texts("accounts"),
		DefaultAccount:              o.Text("default_account"),
		ConfigEndpoint:              o.Text("config_endpoint"),
		CertPath:                    o.Text("cert_path"),
		DeviceAuthorizationEndpoint: o.Text("device_authorization_endpoint"),
		Register:                    o.Text("register"),
		Contact:                     o.Text("contact"),
		PubClient:                   newClient(o.Object("pubclient")),
		UserClient:                  (*UserClient)(newClient(o.Object("user_client"))),
		PwStore:                     o.Bool("pw-store"),
		OAuth2:                      o.Bool("oauth"),
		LegacyAudMode:               o.Bool("legacy_aud_mode"),
	}
}

func newClient(o *cjson.Object) *PubClient {
	if o == nil || o.Text("client_id") == "" {
		return nil
	}
	return &PubClient{
		ClientID:     o.Text("client_id"),
		ClientSecret: o.Secret("client_secret"),
		Scope:        o.Text("scope"),
		Flow:         o.Texts("flow"),
		RedirectURIs: o.Texts("redirect_uris"),
	}
}
