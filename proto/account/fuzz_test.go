package account

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oidc-agent/proto/cjson"
)

// FuzzConfig reads any bytes as each of the settings files. To lay the same settings on twice changes nothing
// (RFC 7396).
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		shipped,
		"# a comment {\n{\"oidc-agent\":\n \t# another\n{\"autoload\":null,\"lifetime\":\"-5\",\"confirm\":1}, \"oidc-gen\":null}",
		`[{"parameter":"x","value":"$HOME","for_issuer":["https://iam.example/"],"request":"refresh"},{"parameter":"y","value":"z","for_account":"demo","request":["refresh"]}]`,
		"# clients\nid:s3cret@https://iam.example/@openid profile\na@b@http://c\n@http",
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	for _, name := range []string{"config", "custom_parameters.config", "pubclients.config"} {
		if err := os.Symlink("file", filepath.Join(dir, name)); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, "file"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		unset := func(string) string { return "" }
		c, err := loadConfig(Dir{dir}, "/nowhere", unset)
		if err == nil && c.Agent.Lifetime < 0 || (c == nil) == (err == nil) {
			t.Errorf("%q: %+v, %v", data, c, err)
		}
		if o, err := cjson.Parse(withoutComments(data)); err == nil {
			once := cjson.New()
			mergePatch(once, o)
			text := once.Compact()
			if mergePatch(once, o); !bytes.Equal(once.Compact(), text) {
				t.Errorf("%q: %q, then %q", data, text, once.Compact())
			}
		}
		parameters, _ := loadParameters(Dir{dir}, "/nowhere", unset)
		for _, p := range parameters.For(&Account{Name: "demo", IssuerURL: "https://iam.example"}, "refresh") {
			if p.Name == "" {
				t.Errorf("%q: %+v", data, p)
			}
		}
		clients, err := readPubClients(dir)
		for _, o := range clients {
			if err != nil || !strings.HasPrefix(issuerOf(o), "http") || newIssuer(issuerOf(o), o).PubClient == nil {
				t.Errorf("%q: %s, %v", data, o.Compact(), err)
			}
		}
	})
}
