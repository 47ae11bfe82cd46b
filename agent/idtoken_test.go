package main

import (
	"encoding/pem"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// byCode logs in with the code flow and returns the agent's answer.
func (w *world) byCode(name, uri string) *cjson.Object {
	w.Helper()
	started := w.startCode(name, []string{uri}, func(r *cjson.Object) { r.SetBool("no_webserver", true) })
	return ask(w.agent, cjson.New().SetText("request", "code_exchange").SetText("redirect_uri", w.browse(started.Text("uri"))))
}

// A login with a wrong id_token is refused.
func TestWrongIDToken(t *testing.T) {
	t.Parallel()
	const uri = "http://localhost:4242"
	w := codeWorld(t, uri)
	refused := "the answer of " + w.idp.Issuer() + " is refused: id_token: "
	for _, c := range []struct{ by, code, device string }{
		{"invalid-iss", `"iss" is...`, `"iss" is...`},
		{"invalid-aud", `"aud" is...`, `"aud" is...`},
		{"secondary-aud", `"aud" is...`, `"aud" is...`},
		{"invalid-azp", `"azp" is...`, `"azp" is...`},
		{"nonce-invalid", `"nonce" is not the one of this login`, ""},
		{"missing-nonce", `"nonce" is not the one of this login`, ""},
		{"expired-exp", `it expired at...`, `it expired at...`},
		{"iat-ahead", `it was issued in the future, at...`, `it was issued in the future, at...`},
		{"invalid-athash", `"at_hash" is not that of the access token`, `"at_hash" is not that of the access token`},
		{"missing-athash", "", ""},
		{"missing-sub", `"sub" is missing`, `"sub" is missing`},
		{"sig-none", `it is signed with "none", which is not accepted`, `it is signed with "none", which is not accepted`},
		{"sig-bad", "its signature is not valid", "its signature is not valid"},
	} {
		if err := w.idp.Switch(c.by); err != nil {
			t.Fatal(err)
		}
		device := ask(w.agent, poll(w.must(w.agent, w.gen("device", "device", nil))))
		for reply, failure := range map[*cjson.Object]string{w.byCode("code", uri): c.code, device: c.device} {
			if failure != "" {
				want(t, reply, refused+failure)
			} else if reply.Object("config") == nil {
				t.Errorf("%s: answered %s", c.by, reply.Compact())
			}
		}
		if names := w.agent.accounts.names(); (len(names) == 0) != (c.code != "" && c.device != "") {
			t.Errorf("%s: loaded: %v", c.by, names)
		}
		w.must(w.agent, askRequest(`{"request":"remove_all"}`))
		w.idp.ClearFaults()
	}
	// As in the C agent, the final slash of the issuer may differ, and the id_token may be missing.
	for _, f := range []iam.Fault{
		{Path: "token", IDToken: &iam.Forgery{Claims: map[string]any{"iss": strings.TrimSuffix(w.idp.Issuer(), "/")}}},
		{Path: "token", Set: map[string]any{"id_token": nil}},
	} {
		w.idp.Fail(f)
		if reply := w.byCode("code", uri); reply.Object("config") == nil {
			t.Errorf("answered %s", reply.Compact())
		}
		w.idp.ClearFaults()
	}
}

// A refresh with a wrong id_token gives no access token, but the new refresh token is kept, because the old one
// is used.
func TestWrongRefreshedIDToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true, AutoApprove: true})
	path := w.load("refreshed")
	for by, failure := range map[string]string{
		"invalid-iss": `"iss" is...`, "invalid-sub": `"sub" is...`, "invalid-aud": `"aud" is...`, "sig-bad": "its signature is not valid",
		"missing-nonce": "", "expired-exp": "", "iat-ahead": "", // allowed: the id_token of the login
	} {
		w.idp.Fail(iam.Fault{Path: "token", Times: 1, Set: map[string]any{"id_token": nil}}) // the subject is kept without an id_token
		w.must(w.agent, forced("refreshed"))
		w.idp.ClearFaults()
		if err := w.idp.Switch(by); err != nil {
			t.Fatal(err)
		}
		before := w.tokenInFile(path)
		if reply := ask(w.agent, forced("refreshed")); failure != "" {
			want(t, reply, "the answer of "+w.idp.Issuer()+" is refused: id_token: "+failure)
		} else if reply.Text("status") != "success" {
			t.Errorf("%s: answered %s", by, reply.Compact())
		}
		if w.tokenInFile(path) == before {
			t.Errorf("%s: the new refresh token is not in the file", by)
		}
		w.idp.ClearFaults()
	}
	w.must(w.agent, forced("refreshed"))
	// The subject must be that of the login, too.
	w.finishDevice("fresh", nil)
	if err := w.idp.Switch("invalid-sub"); err != nil {
		t.Fatal(err)
	}
	want(t, ask(w.agent, forced("fresh")), "the answer of "+w.idp.Issuer()+` is refused: id_token: "sub" is...`)
}

// Another oidc-gen may have logged in another user. The account file is theirs then.
func TestAnotherUserInTheFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	path := w.load("shared")
	known := w.agent.accounts.find("shared").subject
	bob := w.config("shared")
	reply := w.post("token", url.Values{"grant_type": {"password"}, "username": {"bob"}, "password": {"bob"}, "scope": {allScopes}})
	bob.RefreshToken = secret.FromString(reply["refresh_token"].(string))
	w.write(path, bob)
	w.must(w.agent, forced("shared"))
	if now := w.agent.accounts.find("shared").subject; now == "" || now == known {
		t.Errorf("subject %q, then %q", known, now)
	}
}

// If the provider's keys cannot be fetched, TLS to its token endpoint is enough.
func TestBrokenKeysOverTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(nil)
	issuer := "https://" + srv.Listener.Addr().String() + "/"
	idp, err := iam.New(iam.Config{Alg: iam.ES256, Issuer: issuer, Clients: []iam.Client{theClient()}, Settings: iam.Settings{AutoApprove: true}})
	if err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = idp
	srv.StartTLS()
	t.Cleanup(srv.Close)
	w := &world{TB: t, idp: idp, log: new(buffer), dir: t.TempDir()}
	w.agent = w.newAgent()
	ca := filepath.Join(w.dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	login := func() *cjson.Object {
		c := w.config("tls")
		c.CertPath = ca
		started := w.must(w.agent, w.gen("tls", "device", func(r *cjson.Object) { r.SetObject("config", c.Object()) }))
		return w.must(w.agent, poll(started))
	}
	idp.Fail(iam.Fault{Path: "jwk", Status: 500})
	for range 2 {
		if _, err := account.FromObject(login().Object("config")); err != nil {
			t.Error(err)
		}
	}
	w.must(w.agent, forced("tls"))
}
