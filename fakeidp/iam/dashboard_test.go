package iam

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

var shownSecret = regexp.MustCompile(`id="client_secret">([^<]*)<`)

// newClient creates a client on the dashboard and returns what its page shows.
func (b *browser) newClient(pairs ...string) *rp {
	b.t.Helper()
	b.open("GET", "/dashboard/clients/new", "")
	b.submitTo("/dashboard/clients", pairs...)
	b.see(200, `id="client_id"`)
	c := &rp{idp: b.idp, id: b.at[strings.LastIndex(b.at, "/")+1:]}
	if m := shownSecret.FindStringSubmatch(b.last.Body); m != nil {
		c.secret = m[1]
	}
	return c
}

func (p *idp) dashboardOf(name string) *browser {
	p.t.Helper()
	b := p.browser()
	b.open("GET", "/dashboard", "")
	b.signIn(name)
	b.see(200, "Your clients")
	return b
}

func TestDashboardClient(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	b := p.dashboardOf("alice")
	c := b.newClient("client_name", `zzzz <i>"mine"</i>`, "redirect_uris", "http://localhost:4242\r\nmy.app:/back\r\n", "token_endpoint_auth_method", authBasic,
		"grant_types", grantDeviceCode, "grant_types", grantRefreshToken, "grant_types", grantClientCredentials,
		"scope", "openid", "scope", "offline_access", "more_scopes", "storage.read:/my/data  admin:all")
	if len(c.secret) != 86 {
		t.Fatalf("secret %q", c.secret)
	}
	for _, want := range []string{"&lt;i&gt;", "<code>http://localhost:4242</code>", "<code>my.app:/back</code>", "<code>storage.read:/my/data</code>"} {
		b.see(200, want)
	}
	if strings.Contains(b.last.Body, "<i>") || strings.Contains(b.last.Body, "admin:all") {
		t.Errorf("not escaped, or with a scope that nobody may have: %s", b.last.Body)
	}
	if b.open("GET", b.at, ""); strings.Contains(b.last.Body, c.secret) {
		t.Error("the secret is shown twice")
	}
	c.login("openid offline_access storage.read:/my/data")
	c.post("token", "grant_type", grantClientCredentials).want(200, "", "")
	b.open("GET", "/dashboard", "")
	b.see(200, c.id)

	b.open("GET", "/dashboard/clients/"+c.id, "")
	b.submitTo("/secret")
	old := *c
	c.secret = shownSecret.FindStringSubmatch(b.last.Body)[1]
	old.post("token", "grant_type", grantClientCredentials).want(401, "invalid_client", "")
	c.post("token", "grant_type", grantClientCredentials).want(200, "", "")

	b.newClient("client_name", "aaaa", "grant_types", grantDeviceCode)
	b.open("GET", "/dashboard", "")
	if strings.Index(b.last.Body, "aaaa") > strings.Index(b.last.Body, "zzzz") {
		t.Error("the clients are not sorted by name")
	}
	b.open("GET", "/dashboard/clients/"+c.id, "")
	b.submitTo("/delete")
	if b.see(200, "aaaa"); strings.Contains(b.last.Body, c.id) {
		t.Error("not deleted")
	}
	c.post("token", "grant_type", grantClientCredentials).want(401, "invalid_client", "")
}

func TestDashboardPublicClient(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	b := p.dashboardOf("alice")
	c := b.newClient("client_name", "public", "token_endpoint_auth_method", authNone, "grant_types", grantDeviceCode, "scope", "openid")
	if c.secret != "" || strings.Contains(b.last.Body, "Regenerate") {
		t.Errorf("a public client has a secret: %s", b.last.Body)
	}
	c.login("openid")
	action := "/dashboard/clients/" + c.id + "/secret"
	b.open("GET", "/device", "")
	_, fields := b.form("/device/verify")
	b.open("POST", action, fields.Encode())
	c.login("openid") // still without a secret
}

func TestDashboardRefusals(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	b := p.dashboardOf("alice")
	for want, pairs := range map[string][]string{
		"client_name: size":        {"client_name", " abc ", "grant_types", grantDeviceCode},
		"grant_types: must not":    {"client_name", "some"},
		"at least one valid":       {"client_name", "some", "grant_types", grantAuthorizationCode},
		"Grant type not allowed":   {"client_name", "some", "grant_types", grantPassword},
		"is not supported":         {"client_name", "some", "grant_types", grantDeviceCode, "token_endpoint_auth_method", "tls"},
		"the scheme of javascript": {"client_name", "some", "grant_types", grantDeviceCode, "redirect_uris", "javascript:alert(1)"},
	} {
		b.open("GET", "/dashboard/clients/new", "")
		b.submitTo("/dashboard/clients", append(pairs, "more_scopes", "storage.read:/kept")...)
		b.see(400, want)
		b.see(400, `value="storage.read:/kept"`) // the form keeps what was typed
	}
	b.open("GET", "/dashboard", "")
	b.see(200, "None yet")
}

// TestDashboardOthers: users see only what is theirs, and forms need their CSRF token.
func TestDashboardOthers(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	alice := p.dashboardOf("alice")
	c := alice.newClient("client_name", "hers", "grant_types", grantDeviceCode, "grant_types", grantRefreshToken, "scope", "openid", "scope", "offline_access")
	tokens := c.login("openid offline_access")

	bob := p.dashboardOf("bob")
	if bob.see(200, "Your tokens"); strings.Contains(bob.last.Body, c.id) || strings.Contains(bob.last.Body, "hers") {
		t.Error("bob sees what is alice's")
	}
	_, fields := bob.form("/device/verify")
	post := "csrf=" + fields.Get("csrf") + "&token=" + tokens.text("refresh_token")
	bob.open("POST", "/dashboard/tokens/revoke", post)
	c.refresh(tokens.text("refresh_token")).want(200, "", "")
	for _, path := range []string{"/secret", "/delete"} {
		bob.open("POST", "/dashboard/clients/"+c.id+path, post)
		bob.see(404, "No such client")
	}
	bob.open("GET", "/dashboard/clients/"+c.id, "")
	bob.see(404, "No such client")
	for _, path := range []string{"tokens/revoke", "clients", "clients/" + c.id + "/secret", "clients/" + c.id + "/delete"} {
		alice.open("POST", "/dashboard/"+path, "csrf=x&token="+tokens.text("refresh_token"))
		alice.see(403, "no longer valid")
	}
	c.refresh(tokens.text("refresh_token")).want(200, "", "")
}

func TestDashboardTokens(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c := p.addClient(Client{ClientName: "demo program"})
	tokens := c.login("openid offline_access storage.read:/data")
	b := p.dashboardOf("alice")
	for _, want := range []string{"Refresh token</strong> of demo program", "Access token</strong> of demo program", "storage.read:/data"} {
		b.see(200, want)
	}
	b.submitTo("/tokens/revoke") // the refresh token is the first
	if b.see(200, "Your tokens"); strings.Contains(b.last.Body, "demo program") {
		t.Error("the access token outlives its refresh token")
	}
	c.refresh(tokens.text("refresh_token")).want(401, "invalid_token", "")
	for range shownTokens + 3 {
		c.login("openid")
	}
	b.open("GET", "/dashboard", "")
	b.see(200, "and 3 more")
	p.MoveClock(time.Minute)
	c.login("openid email")
	b.open("GET", "/dashboard", "")
	if first, _, _ := strings.Cut(b.last.Body, "Revoke</button>"); !strings.Contains(first, "openid email") {
		t.Errorf("the newest does not stand first: %s", first)
	}
}
