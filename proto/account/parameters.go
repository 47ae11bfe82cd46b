package account

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Parameter is one entry of custom_parameters.config: an extra parameter for some requests of the accounts that are
// named, or that have an issuer which is named.
type Parameter struct {
	Name     string   `key:"parameter"`
	Value    string   `key:"value"`
	Issuers  []string `key:"for_issuer"`
	Accounts []string `key:"for_account"`
	Requests []string `key:"request"`
}

// Parameters are the extra parameters that a user and his site want in requests to providers.
type Parameters []Parameter

// LoadParameters reads custom_parameters.config, the user's and then the system's. A value that starts with $
// is that environment variable's, one that starts with / the first line of that file. The error names every file that
// could not be used; the parameters are then those of the other.
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
				data, _ := ReadFile(p.Value) // an empty value is not sent
				line, _, _ := bytes.Cut(data, []byte("\n"))
				p.Value = string(line)
			}
			all = append(all, p)
		}
	}
	return all, failures
}

// For returns the parameters for a kind of request of an account: those that name the account or its issuer.
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
