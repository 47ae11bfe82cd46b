package main

import (
	"strings"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
)

// gen returns a request of oidc-gen; change adds more members.
func (w *world) gen(name, flow string, change func(*cjson.Object)) *cjson.Object {
	r := cjson.New().SetText("request", "gen").SetObject("config", w.config(name).Object()).SetTexts("flow", strings.Fields(flow))
	if change != nil {
		change(r)
	}
	return r
}

func poll(started *cjson.Object) *cjson.Object {
	return cjson.New().SetText("request", "device").SetObject("oidc_device", started.Object("oidc_device"))
}

// finishDevice logs in by the device flow with a provider that approves, and returns the account that oidc-gen gets.
func (w *world) finishDevice(name string, change func(*cjson.Object)) *account.Account {
	w.Helper()
	reply := w.must(w.agent, poll(w.must(w.agent, w.gen(name, "device", change))))
	c, err := account.FromObject(reply.Object("config"))
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func TestDeviceFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	described := w.config("device")
	described.IssuerURL = strings.TrimSuffix(described.IssuerURL, "/") // the provider's own spelling is kept
	started := w.must(w.agent, w.gen("device", "device", nil).SetObject("config", described.Object()))
	device := started.Object("oidc_device")
	if started.Text("status") != "accepted" || device == nil {
		t.Fatalf("answered %s", started.Compact())
	}
	if n, _ := device.Int("interval"); n != 5 {
		t.Errorf("interval %d, want RFC 8628's default", n)
	}
	if n, _ := device.Int("expires_in"); n != 600 {
		t.Errorf("expires_in %d", n)
	}
	if uri := device.Text("verification_uri_complete"); uri != w.idp.Issuer()+"device?user_code="+device.Text("user_code") {
		t.Errorf("verification_uri_complete %q", uri)
	}
	want(t, ask(w.agent, poll(started)), "authorization_pending")
	want(t, askText(w.agent, `{"request":"device","oidc_device":{"device_code":"other"}}`), "wrong device code")
	want(t, askText(w.agent, `{"request":"device"}`), "wrong device code")
	want(t, ask(w.agent, poll(started)), "authorization_pending") // the wrong ones did no harm
	if err := w.idp.Approve(device.Text("user_code")); err != nil {
		t.Fatal(err)
	}
	reply := w.must(w.agent, poll(started))
	c, err := account.FromObject(reply.Object("config"))
	if err != nil {
		t.Fatal(err)
	}
	if c.RefreshToken.IsEmpty() || string(c.ClientSecret.Reveal()) != clientSecret || c.Name != "device" || c.IssuerURL != w.idp.Issuer() ||
		c.DeviceAuthorizationEndpoint != w.idp.Issuer()+"devicecode" || c.ConfigEndpoint == "" || wordSet(c.RefreshScope) != wordSet(allScopes) {
		t.Errorf("config %s", reply.Object("config").Compact())
	}
	want(t, ask(w.agent, poll(started)), "wrong device code") // like the C agent
	w.idp.ForgetRequests()
	w.must(w.agent, tokenFor("device")) // that of the login
	if w.grants() != 0 {
		t.Errorf("%d grants", w.grants())
	}
	w.must(w.agent, forced("device"))
}

func TestDeviceFlowEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	started := w.must(w.agent, w.gen("denied", "device", nil))
	if err := w.idp.Deny(started.Object("oidc_device").Text("user_code")); err != nil {
		t.Fatal(err)
	}
	want(t, ask(w.agent, poll(started)), "access_denied: The user denied the request")
	want(t, ask(w.agent, poll(started)), "wrong device code")

	started = w.must(w.agent, w.gen("expired", "device", nil))
	w.idp.MoveClock(11 * time.Minute)
	want(t, ask(w.agent, poll(started)), "expired_token: Device code has expired...")
	want(t, ask(w.agent, poll(started)), "wrong device code")

	w.idp.Change(func(s *iam.Settings) { s.DeviceInterval = 7 * time.Second })
	w.idp.Fail(iam.Fault{Path: "devicecode", Times: 1, Set: map[string]any{"verification_uri_complete": nil}})
	started = w.must(w.agent, w.gen("busy", "device", nil))
	if n, _ := started.Object("oidc_device").Int("interval"); n != 7 {
		t.Errorf("interval %d", n)
	}
	if started.Object("oidc_device").Has("verification_uri_complete") {
		t.Errorf("answered %s", started.Compact())
	}
	want(t, ask(w.agent, poll(started)), "authorization_pending")
	want(t, ask(w.agent, poll(started)), "slow_down")
	// A temporary failure does not end the flow.
	w.idp.Fail(iam.Fault{Path: "token", Times: 1, Status: 503, Body: `{"error":"temporarily_unavailable"}`})
	reply := ask(w.agent, poll(started))
	want(t, reply, "slow_down")
	if told := reply.Text("info"); !strings.Contains(told, "temporarily_unavailable") {
		t.Errorf("the user is told %q", told)
	}
	w.idp.Fail(iam.Fault{Path: "token", Times: 1, Cut: true, Body: `{"error":`})
	want(t, ask(w.agent, poll(started)), "slow_down")
	w.idp.Fail(iam.Fault{Path: "token", Times: 1, Status: 200, Body: `<html>`})
	want(t, ask(w.agent, poll(started)), "provider answered with HTTP status 200...")
	want(t, ask(w.agent, poll(started)), "slow_down")
	// A lasting one does.
	w.idp.Fail(iam.Fault{Path: "token", Times: maxMisses + 1, Status: 502, Body: `<html>`})
	for range maxMisses {
		want(t, ask(w.agent, poll(started)), "slow_down")
	}
	want(t, ask(w.agent, poll(started)), "provider answered with HTTP status 502...")
	if names := w.agent.accounts.names(); len(names) != 0 {
		t.Errorf("loaded: %v", names)
	}
}

// With only_at the answer is a token, and no account is made.
func TestOnlyAT(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{AutoApprove: true})
	onlyAT := func(r *cjson.Object) { r.SetBool("only_at", true) }
	reply := w.must(w.agent, poll(w.must(w.agent, w.gen("onlyat", "device", onlyAT))))
	if claims(t, reply)["sub"] == nil || reply.Has("config") {
		t.Errorf("answered %s", reply.Compact())
	}
	r := w.gen("onlyat", "refresh", onlyAT).SetObject("config", w.account("onlyat").Object())
	reply = w.must(w.agent, r)
	if claims(t, reply)["sub"] == nil || reply.Has("config") || len(w.agent.accounts.names()) != 0 {
		t.Errorf("answered %s", reply.Compact())
	}
}

func TestRefreshFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	c := w.account("byrt")
	given := string(c.RefreshToken.Reveal())
	reply := w.must(w.agent, w.gen("byrt", "refresh", nil).SetObject("config", c.Object()))
	if got := reply.Object("config").Text("refresh_token"); got != given {
		t.Errorf("refresh token %q", got)
	}
	w.must(w.agent, forced("byrt"))
	w.idp.Change(func(s *iam.Settings) { s.Rotate = true })
	reply = w.must(w.agent, w.gen("byrt", "refresh", nil).SetObject("config", c.Object()))
	if got := reply.Object("config").Text("refresh_token"); got == given || got == "" {
		t.Errorf("refresh token %q", got)
	}
	reply = ask(w.agent, w.gen("byrt2", "refresh", nil))
	want(t, reply, "No or malformed refresh token")
	reply = ask(w.agent, w.gen("byrt2", "refresh", nil).SetObject("config", c.Object())) // spent by now
	want(t, reply, "invalid_token: Refresh token for value...")
	// If the provider sends none, the old one stays in use. If the answer is also wrong, there is nothing to keep.
	c = w.account("byrt")
	given = string(c.RefreshToken.Reveal())
	w.idp.Change(func(s *iam.Settings) { s.Rotate = false })
	w.idp.Fail(iam.Fault{Path: "token", Times: 1, Set: map[string]any{"refresh_token": nil}})
	reply = w.must(w.agent, w.gen("byrt", "refresh", nil).SetObject("config", c.Object()))
	if got := reply.Object("config").Text("refresh_token"); got != given {
		t.Errorf("refresh token %q", got)
	}
	w.idp.Fail(iam.Fault{Path: "token", Times: 1, Set: map[string]any{"refresh_token": nil, "id_token": "e30.e30."}})
	want(t, ask(w.agent, w.gen("byrt", "refresh", nil).SetObject("config", c.Object())), "the answer of "+w.idp.Issuer()+" is refused...")
}

func TestPasswordFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	login := func(password string) func(*cjson.Object) {
		return func(r *cjson.Object) {
			r.SetObject("config", w.config("bypw").Object().SetText("username", "alice").SetText("password", password))
		}
	}
	reply := w.must(w.agent, w.gen("bypw", "password", login("alice")))
	if c := reply.Object("config"); c.Text("password") != "" || c.Text("refresh_token") == "" {
		t.Errorf("config %s", c.Compact())
	}
	if scope := w.lastGrant().Get("scope"); scope != allScopes {
		t.Errorf("asked for %q", scope)
	}
	for sent, kept := range map[any]string{nil: allScopes, "openid": "openid"} {
		w.idp.Fail(iam.Fault{Path: "token", Times: 1, Set: map[string]any{"scope": sent}})
		reply := w.must(w.agent, w.gen("bypw", "password", login("alice")))
		if got := reply.Object("config").Text("refresh_scope"); got != kept {
			t.Errorf("scope %v: refresh_scope %q", sent, got)
		}
	}
	w.must(w.agent, forced("bypw"))
	want(t, ask(w.agent, w.gen("bypw", "password", login("wrong"))), "invalid_grant: Bad credentials")
}

func TestFlowErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	want(t, ask(w.agent, w.gen("flows", "nosuch", nil)), "Unknown flow 'nosuch'")
	want(t, ask(w.agent, w.gen("flows", "device nosuch", nil)), "Unknown flow 'nosuch'")
	want(t, ask(w.agent, w.gen("flows", "", nil)), "Bad Request: no flow given")
	want(t, askText(w.agent, `{"request":"gen","flow":"device"}`), "Bad Request: no account in 'config'")
	c := w.config("flows")
	c.RedirectURIs = []string{"edu.kit.data.oidc-agent:/redirect"}
	want(t, ask(w.agent, w.gen("flows", "code", nil).SetObject("config", c.Object()).SetInt("no_scheme", 1)), "no redirect URI is usable...")
	reply := ask(w.agent, w.gen("flows", "refresh password", nil))
	want(t, reply, "No flow was successful. refresh: No or malformed refresh token. password: invalid_grant: Bad credentials.")
	started := w.must(w.agent, w.gen("flows", "refresh device", nil))
	if started.Object("oidc_device") == nil {
		t.Errorf("the second flow did not begin: %s", started.Compact())
	}
	// Without a refresh token no account is made.
	w.idp.Fail(iam.Fault{Path: "token", Times: 1, Set: map[string]any{"refresh_token": nil}})
	if err := w.idp.Approve(started.Object("oidc_device").Text("user_code")); err != nil {
		t.Fatal(err)
	}
	want(t, ask(w.agent, poll(started)), "OIDP response does not contain a refresh token")
	if names := w.agent.accounts.names(); len(names) != 0 {
		t.Errorf("loaded: %v", names)
	}
}

// openid and offline_access are requested whether or not the user has named them.
func TestLoginScope(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config account.Account
		want   string
	}{
		{account.Account{AuthScope: ""}, "openid offline_access"},
		{account.Account{AuthScope: "email"}, "email openid offline_access"},
		{account.Account{AuthScope: "offline_access x openid"}, "offline_access x openid"},
		{account.Account{AuthScope: "x", OAuth2: true}, "x offline_access"},
		{account.Account{AuthScope: "openid", IssuerURL: "https://accounts.google.com/"}, "openid"},
	} {
		if got := loginScope(&c.config); got != c.want {
			t.Errorf("%q: got %q, want %q", c.config.AuthScope, got, c.want)
		}
	}
}

// A new login replaces a loaded account, but not what the user has set for it.
func TestReauthenticate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true, AutoApprove: true})
	c := w.account("again")
	w.must(w.agent, addRequest(c, "").SetBool("confirm", true).SetBool("always_allow_id_token", true).SetInt("lifetime", 1000))
	old := w.agent.accounts.find("again")
	want(t, askText(w.agent, `{"request":"reauthenticate"}`), "Bad request. Required field 'account' not present.")
	want(t, askText(w.agent, `{"request":"reauthenticate","account":"nosuch"}`), "No account configured with that short name")
	started := w.must(w.agent, cjson.New().SetText("request", "reauthenticate").SetText("account", "again"))
	w.must(w.agent, poll(started))
	now := w.agent.accounts.find("again")
	if now == old || !now.confirm || !now.idTokenFree {
		t.Errorf("confirm %v, id-token %v", now.confirm, now.idTokenFree)
	}
	if left := now.ends - w.agent.boot(); left < 900*time.Second || left > 1000*time.Second {
		t.Errorf("%v are left of 1000 s", left)
	}
	if names := w.agent.accounts.names(); len(names) != 1 {
		t.Errorf("loaded: %v", names)
	}
}

// Flows that nobody finishes are forgotten.
func TestLoginsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	now := time.Now()
	w.agent.now = func() time.Time { return now }
	forgotten := w.must(w.agent, w.gen("forgotten", "device", nil))
	now = now.Add(601 * time.Second)
	started := w.must(w.agent, w.gen("forgotten", "device", nil))
	want(t, ask(w.agent, poll(forgotten)), "wrong device code")
	want(t, ask(w.agent, poll(started)), "authorization_pending")
}
