package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oidc-agent/crypt"
	"oidc-agent/proto/secret"
)

// TestNewKey: a file keeps its key unless an option says otherwise; the settings are for new files.
// Not parallel: the config file is found through the environment.
func TestNewKey(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("OIDC_CONFIG_DIR", dir)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	password := secret.FromString("correct horse")
	old := map[crypt.Format]*crypt.Key{crypt.FormatGPG: crypt.GPGKey("0DDBA11"), 0: nil}
	for _, format := range []crypt.Format{crypt.FormatScrypt, crypt.FormatC} {
		key, err := crypt.NewKey(password, format)
		if err != nil {
			t.Fatal(err)
		}
		old[format] = key
	}
	const gpg, c = `"default_gpg_key":"5E771965"`, `"account-format":"c"`
	for _, test := range []struct {
		settings, options string
		had               crypt.Format // 0: there was no file
		want              string       // begins the key's text; empty: the file keeps its key
	}{
		{"", "", 0, "scrypt "},
		{c, "", 0, "c "},
		{gpg, "", 0, "gpg:5E771965"},
		{gpg, "--format=scrypt", 0, "scrypt "},
		{gpg, "--format=c", 0, "c "},
		{gpg, "--pw-gpg=0BC10E", 0, "gpg:0BC10E"},
		{gpg, "", crypt.FormatScrypt, ""},
		{gpg, "", crypt.FormatC, ""},
		{gpg, "", crypt.FormatGPG, ""},
		{gpg, "--format=scrypt", crypt.FormatC, "scrypt "},
		{gpg, "--pw-gpg=0BC10E", crypt.FormatC, "gpg:0BC10E"},
		{c, "", crypt.FormatScrypt, ""},
		{c, "--format=scrypt", crypt.FormatGPG, "scrypt "},
	} {
		write("config", `{"oidc-gen":{`+test.settings+`}}`)
		r, err := parse(strings.Fields("--pw-file=" + write("pw", "correct horse\n") + " " + test.options + " demo"))
		if err != nil {
			t.Fatal(err)
		}
		f := &file{key: old[test.had]}
		if test.had != crypt.FormatGPG {
			f.password = password
		}
		key, err := f.newKey(r)
		switch {
		case err != nil:
			t.Errorf("%+v: %v", test, err)
		case test.want == "" && key != f.key:
			t.Errorf("%+v: a new key, %v", test, key.Format())
		case !strings.HasPrefix(string(key.Marshal().Reveal()), test.want):
			t.Errorf("%+v: a key of format %v", test, key.Format())
		}
	} // The user types a new password.
	if got := (&file{key: old[crypt.FormatScrypt]}).format(&request{writesC: true}); got != crypt.FormatScrypt {
		t.Errorf("a setting changes a file's format to %v", got)
	}
}
