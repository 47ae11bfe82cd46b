package account

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"oidc-agent/proto/cjson"
)

// All settings files are lists of entries, raw JSON texts: a JSON array has many, an object is one alone, and so is
// each line of the formats of 4.x.

// readObjects reads the entries of a file that are objects. A file that does not exist has none.
func readObjects(path string, line lineFunc) (objects []*cjson.Object, err error) {
	entries, err := readEntries(path, line)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		if o, err := cjson.Parse(entry); err == nil {
			objects = append(objects, o)
		}
	}
	return objects, err
}

func readEntries(path string, line lineFunc) ([][]byte, error) {
	data, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	entries, err := parseEntries(data, line)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return entries, nil
}

// parseEntries returns the entries of a file. What starts like JSON is JSON: a damaged file must not be taken for
// lines and be overwritten. Without a lineFunc all is JSON, but for lines that start with a #.
func parseEntries(data []byte, line lineFunc) (entries [][]byte, err error) {
	if line == nil {
		data = cjson.WithoutComments(data)
	}
	text := bytes.TrimSpace(data)
	if bytes.HasPrefix(text, []byte("{")) {
		text = slices.Concat([]byte("["), text, []byte("]"))
	}
	if line == nil || bytes.HasPrefix(text, []byte("[")) {
		return cjson.ParseArray(text)
	}
	for l := range strings.Lines(string(text)) {
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		if o := line(l); o != nil {
			entries = append(entries, o.Compact())
		}
	}
	return entries, nil
}

// lineFunc reads a line of one of the formats of 4.x; nil where the line is something else.
type lineFunc func(line string) *cjson.Object

// userLine reads ISSUER [DEFAULT_ACCOUNT], as in the user's issuer.config.
func userLine(line string) *cjson.Object {
	words := strings.Fields(line)
	o := cjson.New().SetText("issuer", words[0])
	if len(words) > 1 {
		o.SetTexts("accounts", words[1:2]).SetText("default_account", words[1])
	}
	return o
}

// etcLine reads ISSUER REGISTRATION_URI [CONTACT], as in the issuer.config in /etc.
func etcLine(line string) *cjson.Object {
	o, words := cjson.New(), strings.Fields(line)
	for i, key := range []string{"issuer", "register", "contact"}[:min(3, len(words))] {
		o.SetText(key, words[i])
	}
	return o
}

// pubClientLine reads CLIENT_ID[:SECRET]@ISSUER[@SCOPES], as in pubclients.config. The secret of a public client is
// none: everybody has the file.
func pubClientLine(line string) *cjson.Object {
	at := max(strings.Index(line, "@http"), 0) // an id may have an @ of its own
	id, secret, _ := strings.Cut(line[:at], ":")
	if id == "" {
		return nil
	}
	issuer, scope, _ := strings.Cut(line[at+1:], "@")
	client := cjson.New().SetText("client_id", id).SetText("client_secret", secret).SetText("scope", scope)
	return cjson.New().SetText("issuer", issuer).SetObject("pubclient", client)
}
