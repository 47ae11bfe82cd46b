package account

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzConfig reads any bytes as each kind of settings file.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		`{"oidc-agent":{"autoload":true},"oidc-gen":{"auto-open-url":true,"prompt":"cli"},"oidc-add":{"pw-prompt":"cli"}}`,
		"# a comment {\n{\"oidc-agent\":\n \t# another\n{\"autoload\":null,\"lifetime\":\"-5\",\"confirm\":1}, \"oidc-gen\":null}",
		`[{"parameter":"x","value":"$HOME","for_issuer":["https://iam.example/"],"request":"refresh"},{"parameter":"y","value":"z","for_account":"demo","request":["refresh"]}]`,
		"# clients\nid:s3cret@https://iam.example/@openid profile\na@b@http://c\n@http",
	} {
		f.Add([]byte(seed))
	}
	f.Setenv("OIDC_USER_CONFIG", "")
	dir := f.TempDir()
	dirs := []string{dir, "/nowhere"}
	for _, name := range []string{"config", "custom_parameters.config", "pubclients.config"} {
		if err := os.Symlink("file", filepath.Join(dir, name)); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, "file"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := loadConfig(dirs)
		if err == nil && c.Agent.Lifetime < 0 || (c == nil) == (err == nil) {
			t.Errorf("%q: %+v, %v", data, c, err)
		}
		parameters, _ := loadParameters(dirs)
		for _, p := range parameters.For(&Account{Name: "demo", IssuerURL: "https://iam.example"}, "refresh") {
			if p.Name == "" {
				t.Errorf("%q: %+v", data, p)
			}
		}
		for line := range strings.Lines(string(data)) {
			if o := pubClientLine(line); o != nil && !strings.HasPrefix(issuerOf(o), "http") {
				t.Errorf("%q: %s", line, o.Compact())
			}
		}
		issuers, _ := loadIssuers(dirs)
		if len(issuers) < len(builtinIssuers) {
			t.Errorf("%q: %d issuers", data, len(issuers))
		}
	})
}
