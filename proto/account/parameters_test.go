package account

import (
	"os"
	"path/filepath"
	"testing"
)

func TestParameters(t *testing.T) {
	t.Setenv("PLACE", "value of PLACE")
	user, etc := t.TempDir(), t.TempDir()
	file := filepath.Join(t.TempDir(), "value")
	for path, text := range map[string]string{
		file: "from file\nsecond line\n",
		filepath.Join(user, "custom_parameters.config"): `[
			# the user's
			{"parameter":"p1","value":"plain","for_account":["demo"],"request":["refresh","password"]},
			{"parameter":"p2","value":"$PLACE","for_issuer":["https://op.example"],"request":["refresh"]},
			{"parameter":"p3","value":"` + file + `","for_issuer":["https://op.example/"],"request":["auth_url"]},
			{"value":"no name"}]`,
		filepath.Join(etc, "custom_parameters.config"): `[{"parameter":"p4","value":"site","for_account":["other"],"request":["refresh"]}]`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := loadParameters([]string{user, etc})
	if err != nil {
		t.Fatal(err)
	}
	demo := &Account{Name: "demo", IssuerURL: "https://op.example/"}
	other := &Account{Name: "other", IssuerURL: "https://elsewhere.example/"}
	for _, c := range []struct {
		account *Account
		request string
		want    string
	}{
		{demo, "refresh", "p1=plain p2=value of PLACE "},
		{demo, "password", "p1=plain "},
		{demo, "auth_url", "p3=from file "},
		{demo, "revocation", ""},
		{other, "refresh", "p4=site "},
	} {
		got := ""
		for _, q := range p.For(c.account, c.request) {
			got += q.Name + "=" + q.Value + " "
		}
		if got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.account.Name, c.request, got, c.want)
		}
	}
}
