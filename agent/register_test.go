package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
)

func (w *world) register(name, flow string) *cjson.Object {
	c := &account.Account{Name: name, ClientName: "oidc-agent:" + name, IssuerURL: strings.TrimSuffix(w.idp.Issuer(), "/"), AuthScope: "openid"}
	return cjson.New().SetText("request", "register").SetObject("config", c.Object()).SetTexts("flow", strings.Fields(flow))
}

// lastRegistration returns the last request to the registration endpoint.
func (w *world) lastRegistration() (asked map[string]any) {
	w.Helper()
	for _, r := range slices.Backward(w.idp.Requests()) {
		if r.Path == "iam/api/client-registration" {
			if err := json.Unmarshal([]byte(r.Body), &asked); err != nil {
				w.Fatal(err)
			}
			return asked
		}
	}
	w.Fatal("nothing was registered")
	return nil
}

func TestRegister(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{AutoApprove: true})
	reply := w.must(w.agent, w.register("reg", "device"))
	client := reply.Object("client")
	if client == nil || client.Text("client_id") == "" || client.Text("registration_access_token") == "" {
		t.Fatalf("answered %s", reply.Compact())
	}
	if !slices.Contains(strings.Fields(reply.Text("max_scopes")), "wlcg.groups") {
		t.Errorf("max_scopes %q", reply.Text("max_scopes"))
	}
	asked := w.lastRegistration()
	for name, value := range map[string]string{
		"client_name": `"oidc-agent:reg"`, "application_type": `"native"`, "response_types": `[]`,
		"grant_types": `["refresh_token","urn:ietf:params:oauth:grant-type:device_code"]`, "scope": `"openid offline_access"`,
	} {
		if got, err := json.Marshal(asked[name]); err != nil || string(got) != value {
			t.Errorf("%s is %s, want %s", name, got, value)
		}
	}
	uris, _ := json.Marshal(asked["redirect_uris"])
	if !strings.HasPrefix(string(uris), `["http://localhost:4242","http://localhost:`) || !strings.HasSuffix(string(uris), `,"http://localhost:8080","edu.kit.data.oidc-agent:/redirect"]`) {
		t.Errorf("redirect_uris %s", uris)
	}
	want(t, ask(w.agent, w.register("reg2", "device").SetText("authorization", "of nobody")), "invalid_token: Invalid access token...")
	// The client can log in and be deleted.
	c := client.SetText("name", "reg").SetText("issuer_url", w.idp.Issuer()).SetText("auth_scope", "openid")
	w.must(w.agent, poll(w.must(w.agent, cjson.New().SetText("request", "gen").SetObject("config", c).SetText("flow", "device"))))
	w.must(w.agent, forced("reg"))
	want(t, ask(w.agent, w.register("reg", "device")), "An account with this shortname is already loaded. I will not register a new one.")
	unregister := cjson.New().SetText("request", "delete_client").SetText("registration_client_uri", client.Text("registration_client_uri")).
		SetText("registration_access_token", "wrong").SetText("cert_path", "")
	want(t, ask(w.agent, unregister), "Could not delete client: ...")
	w.must(w.agent, unregister.SetText("registration_access_token", client.Text("registration_access_token")))
	reply = ask(w.agent, forced("reg"))
	want(t, reply, "invalid_client: ...")
	if !strings.Contains(reply.Text("info"), "oidc-gen -d reg") {
		t.Errorf("hint %q", reply.Text("info"))
	}
}

func TestRegisterScopesAndFlows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	for _, c := range []struct {
		flows, scope, grants, responses string
	}{
		{"code", "openid offline_access email", `["refresh_token","authorization_code"]`, `["code"]`},
		{"password device code", "", `["refresh_token","authorization_code","urn:ietf:params:oauth:grant-type:device_code","password"]`, `["code"]`},
		{"device device refresh", "max", `["refresh_token","urn:ietf:params:oauth:grant-type:device_code"]`, `[]`},
	} {
		r := w.register("regflows", c.flows)
		r.SetObject("config", r.Object("config").SetText("auth_scope", c.scope))
		ask(w.agent, r)
		asked := w.lastRegistration()
		grants, _ := json.Marshal(asked["grant_types"])
		responses, _ := json.Marshal(asked["response_types"])
		if string(grants) != c.grants || string(responses) != c.responses {
			t.Errorf("%s: grants %s, responses %s", c.flows, grants, responses)
		}
		if scopes := strings.Fields(asked["scope"].(string)); c.scope == "max" && !slices.Contains(scopes, "wlcg") {
			t.Errorf("%s: scopes %v", c.scope, scopes)
		}
	}
	want(t, ask(w.agent, w.register("regflows", "")), "Bad Request: no flow given")
	want(t, askText(w.agent, `{"request":"register","flow":"device"}`), "Bad Request: no account in 'config'")
}

// If the registered client lacks the scopes that every account needs, the failure contains the client. A provider
// that lists no scopes has refused none.
func TestRegisterMissingScopes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.idp.Fail(iam.Fault{Path: "iam/api/client-registration", Times: 1, Set: map[string]any{"scope": "openid email"}})
	reply := ask(w.agent, w.register("regmissing", "device"))
	want(t, reply, "Could not register the necessary scopes dynamically")
	if reply.Object("client") == nil || reply.Object("client").Text("client_id") == "" || reply.Text("max_scopes") == "" {
		t.Errorf("answered %s", reply.Compact())
	}
	w.idp.Fail(iam.Fault{Path: "iam/api/client-registration", Times: 1, Set: map[string]any{"scope": "offline_access"}})
	r := w.register("regmissing", "device")
	w.must(w.agent, r.SetObject("config", r.Object("config").SetInt("oauth", 1))) // OAuth2 has no openid
	w.idp.Fail(iam.Fault{Path: "iam/api/client-registration", Times: 1, Set: map[string]any{"scope": nil}})
	w.must(w.agent, w.register("regmissing", "device"))
	w.idp.Fail(iam.Fault{Path: "iam/api/client-registration", Times: 1, Status: 403, Body: `{"error":"access_denied","error_description":"ask the administrator"}`})
	want(t, ask(w.agent, w.register("regmissing", "device")), "access_denied: ask the administrator")
}

// The newest refresh token is revoked, wherever it is.
func TestDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	path := w.load("delete")
	asGenRead := cjson.New().SetText("request", "delete").SetObject("config", w.read(path).Object())
	w.must(w.agent, forced("delete"))
	other := w.newAgent() // on another node; in the end it has the newest token
	w.must(other, addRequest(w.read(path), path))
	newest := w.tokenInFile(path)
	w.idp.Fail(iam.Fault{Path: "revoke", Times: 1, Status: 503, Body: `{"error":"temporarily_unavailable"}`})
	want(t, ask(w.agent, asGenRead), "Could not revoke token: temporarily_unavailable")
	if len(w.loaded()) != 1 {
		t.Errorf("loaded %v", w.loaded())
	}
	w.must(w.agent, asGenRead)
	var revoked string
	for _, r := range w.idp.Requests() {
		if r.Path == "revoke" {
			revoked = r.Form().Get("token")
		}
	}
	if revoked != newest || len(w.loaded()) != 0 {
		t.Errorf("revoked %q, loaded %v", revoked, w.loaded())
	}
	want(t, ask(other, forced("delete")), "invalid_token: ...")
	// If the account is not loaded, the refresh token in the request is revoked.
	c := w.account("delete2")
	w.must(w.agent, cjson.New().SetText("request", "delete").SetObject("config", c.Object()))
	if w.alive(string(c.RefreshToken.Reveal())) {
		t.Error("the refresh token is alive")
	}
	want(t, askText(w.agent, `{"request":"delete"}`), "Bad Request: no account in 'config'")
}

func TestScopes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	for _, r := range []*cjson.Object{
		cjson.New().SetText("request", "scopes").SetText("issuer", w.idp.Issuer()).SetText("config_endpoint", "(null)"),
		cjson.New().SetText("request", "scopes").SetText("issuer", strings.TrimSuffix(w.idp.Issuer(), "/")).
			SetText("config_endpoint", w.idp.Issuer()+".well-known/oauth-authorization-server"),
		cjson.New().SetText("request", "scopes").SetText("config_endpoint", w.idp.Issuer()+".well-known/openid-configuration"),
	} {
		if info := w.must(w.agent, r).Text("info"); !strings.HasPrefix(info, "openid profile email") {
			t.Errorf("info %q", info)
		}
	}
	want(t, askText(w.agent, `{"request":"scopes"}`), "Bad Request: issuer url or configuration endpoint must be given")
	want(t, askText(w.agent, `{"request":"scopes","issuer":"http://example.org"}`), "issuer URL: ...")
	want(t, askText(w.agent, `{"request":"scopes","issuer":"https://example.org","cert_path":"/nosuch"}`), "CA file: ...")
}

// issuer.config lists accounts from when they are loaded or saved until they are deleted.
func TestAccountInfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{AutoApprove: true})
	info := func() string {
		t.Helper()
		entry := w.must(w.agent, askRequest(`{"request":"account_info"}`)).Object("info").Object(w.idp.Issuer())
		if entry == nil {
			return ""
		}
		return string(entry.Compact())
	}
	if got := info(); got != "" {
		t.Errorf("info %s", got)
	}
	w.finishDevice("info", nil) // ours says `saved`
	if got := info(); got != "" {
		t.Errorf("info %s", got)
	}
	path := filepath.Join(w.dir, "info")
	w.must(w.agent, saved("info", path))
	c := w.finishDevice("infoc", func(r *cjson.Object) { r.SetObject("pw_entry", cEntry(8, "", "")) })
	w.must(w.agent, cjson.New().SetText("request", "remove").SetText("account", "info"))
	if got := info(); got != `{"pubclient":false,"accounts":{"info":false,"infoc":true}}` {
		t.Errorf("info %s", got)
	}
	w.must(w.agent, cjson.New().SetText("request", "delete").SetObject("config", c.Object()))
	if got := info(); got != `{"pubclient":false,"accounts":{"info":false}}` {
		t.Errorf("info %s", got)
	}
}
