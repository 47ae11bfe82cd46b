package account

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Parameter is an entry of custom_parameters.config: an extra parameter in some kinds of requests, for the listed
// accounts and for all accounts with the listed issuers.
type Parameter struct {
	Name     string   `key:"parameter"`
	Value    string   `key:"value"`
	Issuers  []string `key:"for_issuer"`
	Accounts []string `key:"for_account"`
	Requests []string `key:"request"`
}

// Parameters is a list of extra parameters in requests to providers.
type Parameters []Parameter

// LoadParameters reads the user's custom_parameters.config and then the site's. A value $NAME stands for an
// environment variable, and a value that starts with / for the first line of that file. The error names every file
// that cannot be used, and the result holds the parameters of the others.
func LoadParameters() (Parameters, error) { return loadParameters(places()) }

func loadParameters(dirs []string) (all Parameters, failures error) {
	for _, dir := range dirs {
		objects, err := readObjects(filepath.Join(dir, "custom_parameters.config"), nil)
		failures = errors.Join(failures, err)
		for _, o := range objects {
			var p Parameter
			fromJSON(o, &p)
			if p.Name == "" {
				continue
			}
			if name, ok := strings.CutPrefix(p.Value, "$"); ok {
				p.Value = os.Getenv(name)
			} else if strings.HasPrefix(p.Value, "/") {
				data, _ := ReadFile(p.Value) // the value is empty if that fails, and is not sent
				line, _, _ := bytes.Cut(data, []byte("\n"))
				p.Value = string(line)
			}
			all = append(all, p)
		}
	}
	return all, failures
}

// For returns the parameters for a kind of request of an account.
func (all Parameters) For(a *Account, request string) []Parameter {
	var found []Parameter
	for _, p := range all {
		named := slices.Contains(p.Accounts, a.Name) ||
			slices.ContainsFunc(p.Issuers, func(issuer string) bool { return SameIssuer(issuer, a.IssuerURL) })
		if named && slices.Contains(p.Requests, request) {
			found = append(found, p)
		}
	}
	return found
}
