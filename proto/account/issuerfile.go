package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"oidc-agent/proto/cjson"
)

// An issuer.config is a JSON array of objects, one for each issuer (5.x; a file of issuer.config.d may hold
// a single object), or lines of words (4.x). Both become raw JSON objects here.

// readIssuerFile reads the entries of a file in either format.
func readIssuerFile(path string, line lineFunc) ([][]byte, error) {
	data, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	entries, err := parseIssuers(data, line)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return entries, nil
}

// parseIssuers returns the entries of an issuer.config. What starts like JSON is JSON: a damaged
// file must not be taken for lines and be overwritten.
func parseIssuers(data []byte, line lineFunc) ([][]byte, error) {
	text := bytes.TrimSpace(data)
	switch {
	case len(text) == 0:
		return nil, nil
	case text[0] == '[':
		return cjson.ParseArray(text)
	case text[0] == '{':
		o, err := cjson.Parse(text)
		if err != nil {
			return nil, err
		}
		return [][]byte{o.Compact()}, nil
	}
	var entries [][]byte
	for l := range strings.Lines(string(text)) {
		words := strings.Fields(l)
		if len(words) > 0 && words[0][0] != '#' {
			entries = append(entries, line(words).Compact())
		}
	}
	return entries, nil
}

// lineFunc reads the words of a line of the 4.x format.
type lineFunc func(words []string) *cjson.Object

// userLine reads ISSUER [DEFAULT_ACCOUNT], as in the user's file.
func userLine(words []string) *cjson.Object {
	o := cjson.New().SetText("issuer", words[0])
	if len(words) > 1 {
		o.SetTexts("accounts", words[1:2]).SetText("default_account", words[1])
	}
	return o
}

// etcLine reads ISSUER REGISTRATION_URI [CONTACT], as in /etc.
func etcLine(words []string) *cjson.Object {
	o := cjson.New().SetText("issuer", words[0])
	for i, key := range [...]string{"register", "contact"} {
		if len(words) > i+1 {
			o.SetText(key, words[i+1])
		}
	}
	return o
}

// AddAccount notes in the user's issuer.config that the account belongs to the issuer. A file in the 4.x
// format becomes one in the 5.x format, as 5.x does it; all else that the user wrote stays, and nothing of
// what LoadIssuers reads elsewhere gets in. It waits up to five seconds for others who write the file.
func AddAccount(d Dir, issuer, name string) error {
	err := changeIssuers(d, func(entries [][]byte) ([][]byte, bool) {
		i, o := findEntry(entries, issuer)
		if i < 0 {
			o = cjson.New().SetText("issuer", issuer).SetTexts("accounts", []string{name})
			return append(entries, o.Compact()), true
		}
		accounts := o.Texts("accounts")
		if slices.Contains(accounts, name) {
			return nil, false
		}
		entries[i] = o.SetTexts("accounts", append(accounts, name)).Compact()
		return entries, true
	})
	if err != nil {
		return fmt.Errorf("noting account %q of issuer %q: %w", name, issuer, err)
	}
	return nil
}

// RemoveAccount takes the account out of the issuer's accounts in the user's issuer.config, with the
// same care as AddAccount. It is no error if it was not there.
func RemoveAccount(d Dir, issuer, name string) error {
	err := changeIssuers(d, func(entries [][]byte) ([][]byte, bool) {
		i, o := findEntry(entries, issuer)
		if i < 0 {
			return nil, false
		}
		accounts := o.Texts("accounts")
		at := slices.Index(accounts, name)
		if at >= 0 {
			o.SetTexts("accounts", slices.Delete(accounts, at, at+1))
		}
		isDefault := o.Text("default_account") == name
		if isDefault {
			o.Delete("default_account")
		}
		entries[i] = o.Compact()
		return entries, at >= 0 || isDefault
	})
	if err != nil {
		return fmt.Errorf("forgetting account %q of issuer %q: %w", name, issuer, err)
	}
	return nil
}

// findEntry returns the first entry of the issuer, and -1 if there is none.
func findEntry(entries [][]byte, issuer string) (int, *cjson.Object) {
	for i, entry := range entries {
		if o, err := cjson.Parse(entry); err == nil && issuerOf(o) != "" && SameIssuer(issuerOf(o), issuer) {
			return i, o
		}
	}
	return -1, nil
}

// changeIssuers rewrites the user's issuer.config under its lock, unless change reports that nothing
// is to be done.
func changeIssuers(d Dir, change func(entries [][]byte) ([][]byte, bool)) error {
	if d.path == "" {
		return ErrNoDir
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	path := filepath.Join(d.path, issuerFile)
	lock, err := Lock(ctx, path)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	entries, err := readIssuerFile(path, userLine)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, changed := change(entries)
	if !changed {
		return nil
	}
	return WriteFile(path, append(cjson.LayoutArray(entries), '\n'))
}
