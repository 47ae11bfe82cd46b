package network

import (
	"os"
	"path/filepath"
	"testing"
)

// TestAuthorities: every place where a site can keep its CA certificates.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "idp.example", "127.0.0.1 idp.example other.example\n")
	ca := m.provider("127.0.0.1:443")
	text, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	hashed := m.write("certificates/0a1b2c3d.0", string(text))
	m.write("certificates/0a1b2c3d.signing_policy", "access_id_CA X509 '/CN=fakeidp test CA'\n")
	for _, place := range []string{"--cp=" + ca, "--cp=" + filepath.Dir(hashed),
		"SSL_CERT_FILE=" + ca, "SSL_CERT_DIR=" + filepath.Dir(hashed), "X509_CERT_DIR=" + filepath.Dir(hashed)} {
		env, option := []string{place}, []string{}
		if place[0] == '-' {
			env, option = nil, []string{place}
		}
		_, variables := m.agent(env...)
		m.run(generate(variables, option...)...)
		m.wantToken(variables)
	}
	_, variables := m.agent()
	wantText(t, m.fail(generate(variables)...), `its certificate comes from an unknown authority: "CN=fakeidp test CA"`, "oidc-gen --cp", "SSL_CERT_FILE")
	wantText(t, m.fail(generate(variables, "--cp="+ca, "--issuer=https://other.example/")...), "its certificate is for another host: certificate is valid for localhost, idp.example, ", "not other.example")

	m.write("etc/grid-security/certificates/0a1b2c3d.0", string(text))
	_, variables = m.agent()
	m.run(generate(variables)...)
	m.wantToken(variables)
}

// TestClock: the provider's clock and ours are hours apart.
func TestClock(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "idp.example", "127.0.0.1 idp.example\n")
	ca := m.provider("127.0.0.1:443")
	m.run("curl", "-sSf", "--cacert", ca, "--json", `{"move":"3h"}`, "https://idp.example/_fake/clock")
	_, variables := m.agent()
	wantText(t, m.fail(generate(variables, "--cp="+ca)...), "it was issued in the future, at ", "(the clock here says ", ", the provider's ")
}
