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

// A settings file is a list of entries, which are raw JSON: the elements of an array, a single object, or the
// converted lines of a format of 4.x.

// readObjects returns the entries of a file that are objects. A missing file has none.
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

// parseEntries returns the entries of a file. A file that starts like JSON must be JSON: if it is damaged, it must
// not be read as lines and then overwritten. Without a lineFunc the file is JSON in any case, with comments.
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

// lineFunc converts a line of a format of 4.x. It returns nil for any other line.
type lineFunc func(line string) *cjson.Object

// userLine converts ISSUER [DEFAULT_ACCOUNT], a line of the user's issuer.config.
func userLine(line string) *cjson.Object {
	words := strings.Fields(line)
	o := cjson.New().SetText("issuer", words[0])
	if len(words) > 1 {
		o.SetTexts("accounts", words[1:2]).SetText("default_account", words[1])
	}
	return o
}

// etcLine converts ISSUER [REGISTRATION_URI [CONTACT]], a line of the site's issuer.config.
func etcLine(line string) *cjson.Object {
	o, words := cjson.New(), strings.Fields(line)
	for i, key := range []string{"issuer", "register", "contact"}[:min(3, len(words))] {
		o.SetText(key, words[i])
	}
	return o
}

// pubClientLine converts CLIENT_ID[:SECRET]@ISSUER[@SCOPES], a line of pubclients.config. The secret of a public
// client is not secret: everyone has the file.
func pubClientLine(line string) *cjson.Object {
	at := max(strings.Index(line, "@http"), 0) // an id may contain an @
	id, secret, _ := strings.Cut(line[:at], ":")
	if id == "" {
		return nil
	}
	issuer, scope, _ := strings.Cut(line[at+1:], "@")
	client := cjson.New().SetText("client_id", id).SetText("client_secret", secret).SetText("scope", scope)
	return cjson.New().SetText("issuer", issuer).SetObject("pubclient", client)
}
