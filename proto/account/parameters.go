package account

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"oidc-agent/proto/cjson"
)

// Parameter is one entry of custom_parameters.config: an extra parameter for the requests of some accounts.
type Parameter struct {
	Name, Value string
	issuers     []string
	accounts    []string
	requests    []string
}

// Parameters are the extra parameters that a user and his site want in requests to providers.
type Parameters []Parameter

// LoadParameters reads custom_parameters.config, the user's and then the system's. A value that starts with $
// is that environment variable's, one that starts with / the first line of that file. d may be the zero Dir.
func LoadParameters(d Dir) (Parameters, error) { return loadParameters(d, etc, os.Getenv) }

func loadParameters(d Dir, etc string, getenv func(string) string) (Parameters, error) {
	var all Parameters
	var failures []error
	for _, dir := range [...]string{d.path, etc} {
		if dir == "" {
			continue
		}
		data, err := ReadFile(filepath.Join(dir, "custom_parameters.config"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var elements [][]byte
		if err == nil {
			elements, err = cjson.ParseArray(withoutComments(data))
		}
		if err != nil {
			failures = append(failures, err)
			continue
		}
		for _, element := range elements {
			if o, err := cjson.Parse(element); err == nil && o.Text("parameter") != "" {
				all = append(all, parameter(o, getenv))
			}
		}
	}
	return all, errors.Join(failures...)
}

func parameter(o *cjson.Object, getenv func(string) string) Parameter {
	value := o.Text("value")
	if name, ok := strings.CutPrefix(value, "$"); ok {
		value = getenv(name)
	} else if strings.HasPrefix(value, "/") {
		data, _ := ReadFile(value) // an empty value is not sent
		line, _, _ := bytes.Cut(data, []byte("\n"))
		value = string(line)
	}
	return Parameter{o.Text("parameter"), value, o.Texts("for_issuer"), o.Texts("for_account"), o.Texts("request")}
}

// For returns the parameters for a kind of request of an account: those that name the account or its issuer.
func (p Parameters) For(a *Account, request string) []Parameter {
	var found []Parameter
	for _, q := range p {
		named := slices.Contains(q.accounts, a.Name) ||
			slices.ContainsFunc(q.issuers, func(issuer string) bool { return SameIssuer(issuer, a.IssuerURL) })
		if named && slices.Contains(q.requests, request) {
			found = append(found, q)
		}
	}
	return found
}
