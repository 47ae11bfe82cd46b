package main

import (
	"testing"

	"oidc-agent/proto/secret"
)

func TestRender(t *testing.T) {
	t.Parallel()
	given := token{secret.FromString("AT"), "https://op.example/", 1795453511}
	const all = "AT\nhttps://op.example/\n1795453511\n"
	const env = "OIDC_AT=AT; export OIDC_AT;\nOIDC_ISS=https://op.example/; export OIDC_ISS;\nOIDC_EXP=1795453511; export OIDC_EXP;\n"
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "AT\n"},
		{[]string{"-o"}, "AT\n"},
		{[]string{"-i"}, "https://op.example/\n"},
		{[]string{"-e"}, "1795453511\n"},
		{[]string{"-a"}, all},
		{[]string{"-a", "-c"}, all},
		{[]string{"--bearer", "-a"}, all},
		{[]string{"-c"}, env},
		{[]string{"-o", "-i", "-e"}, env},
		{[]string{"--auth-header", "-c"}, env},
		{[]string{"-oie"}, "ie=AT; export ie;\n"},
		{[]string{"-i", "-e"}, "OIDC_ISS=https://op.example/; export OIDC_ISS;\nOIDC_EXP=1795453511; export OIDC_EXP;\n"},
		{[]string{"-oA", "-i"}, "A=AT; export A;\nOIDC_ISS=https://op.example/; export OIDC_ISS;\n"},
		{[]string{"--bearer", "-oTOK"}, "TOK=AT; export TOK;\n"},
		{[]string{"--bearer"}, "Bearer AT\n"},
		{[]string{"--bearer", "-o"}, "Bearer AT\n"},
		{[]string{"--auth"}, "Authorization: Bearer AT"},
	} {
		r, err := parse(append(c.args, "demo"))
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		if got := render(r, given); got != c.want {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
}

// TestShellWord: a value stays one word of the shell, whatever the provider sends.
func TestShellWord(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"eyJ.a-b_c": "eyJ.a-b_c",
		"":          "",
		"a b":       "'a b'",
		"a;rm -r":   "'a;rm -r'",
		"$(id)":     "'$(id)'",
		"it's":      `'it'\''s'`,
		"a\nb":      "'a\nb'",
		"~x":        "'~x'",
	} {
		if got := shellWord(value); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}
