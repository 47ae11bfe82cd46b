package account

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"oidc-agent/proto/cjson"
)

const pubClientsFile = "pubclients.config"

// readPubClients reads the pubclients.config of one directory, in which 4.x keeps public clients, one a line.
// The objects are those that a 5.x issuer.config would have.
func readPubClients(dir string) ([]*cjson.Object, error) {
	if dir == "" {
		return nil, nil
	}
	data, err := ReadFile(filepath.Join(dir, pubClientsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var objects []*cjson.Object
	for line := range strings.Lines(string(data)) {
		if o := pubClientLine(strings.TrimSpace(line)); o != nil {
			objects = append(objects, o)
		}
	}
	return objects, nil
}

// pubClientLine reads CLIENT_ID[:SECRET]@ISSUER[@SCOPES], nil where the line is something else. The
// secret of a public client is none: everybody has the file.
func pubClientLine(line string) *cjson.Object {
	at := strings.Index(line, "@http") // an id may have an @ of its own
	if at <= 0 || line[0] == '#' {
		return nil
	}
	id, secret, _ := strings.Cut(line[:at], ":")
	if id == "" {
		return nil
	}
	issuer, scope, _ := strings.Cut(line[at+1:], "@")
	client := cjson.New().SetText("client_id", id)
	if secret != "" {
		client.SetText("client_secret", secret)
	}
	if scope != "" {
		client.SetText("scope", scope)
	}
	return cjson.New().SetText("issuer", issuer).SetObject("pubclient", client)
}
