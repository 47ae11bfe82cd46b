package main

import (
	"os"
	"path/filepath"
	"testing"
)

// Not parallel: the files are found through the environment.
func TestDefaultMinValid(t *testing.T) {
	for _, c := range []struct {
		text, fails string
		want        int64
	}{
		{"", "", 0},
		{`{"oidc-token":{"default-min-lifetime":120}}`, "", 120},
		{"# a comment\n" + `{"oidc-token":{"default_min_lifetime":"60"}}`, "", 60},
		{`{"oidc-agent":{}}`, "", 0},
		{`{`, "malformed JSON", 0},
	} {
		file := filepath.Join(t.TempDir(), "config")
		if c.text != "" {
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("OIDC_USER_CONFIG", file)
		got, err := defaultMinValid()
		if got != c.want || (err == nil) != (c.fails == "") {
			t.Errorf("%s: %d, %v", c.text, got, err)
		}
	}
}

func TestConfigFiles(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("OIDC_CONFIG_DIR", "")
	t.Setenv("OIDC_USER_CONFIG", "")
	old := filepath.Join(home, ".oidc-agent")
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := configFiles()[0]; got != filepath.Join(old, "config") {
		t.Errorf("the user's file is %q", got)
	}
}
