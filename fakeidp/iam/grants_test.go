package iam

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c := p.addClient(Client{GrantTypes: []string{grantClientCredentials}})
	post := p.addClient(Client{GrantTypes: []string{grantClientCredentials}, TokenEndpointAuthMethod: authPost})
	public := p.addClient(Client{ClientSecret: "of no use", TokenEndpointAuthMethod: authNone})
	const grant = "grant_type=client_credentials"
	enc := func(c *rp) string {
		return "&client_id=" + c.id + "&client_secret=" + values("", c.secret).Encode()[1:]
	}
	raw := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for name, x := range map[string]struct {
		auth, body string
		status     int
		code       string
	}{
		"basic":                   {basic(c.id, c.secret), grant, 200, ""},
		"basic and client_id":     {basic(c.id, c.secret), grant + "&client_id=" + c.id, 200, ""},
		"basic, other client_id":  {basic(c.id, c.secret), grant + "&client_id=" + post.id, 401, "invalid_client"},
		"basic and body":          {basic(c.id, c.secret), grant + enc(c), 400, "invalid_request"},
		"basic and assertion":     {basic(c.id, c.secret), grant + "&client_assertion=x", 400, "invalid_request"},
		"public":                  {"", "grant_type=refresh_token&refresh_token=x&client_id=" + public.id, 401, "invalid_token"},
		"basic, not encoded":      {raw(c.id + ":" + c.secret), grant, 401, "invalid_client"},
		"basic, wrong secret":     {basic(c.id, "wrong"), grant, 401, "invalid_client"},
		"basic, secret and more":  {basic(c.id, c.secret+"1"), grant, 401, "invalid_client"},
		"basic, no secret":        {basic(c.id, ""), grant, 401, "invalid_client"},
		"basic, no colon":         {raw("x"), grant, 401, "invalid_client"},
		"unknown client":          {basic("nobody", c.secret), grant, 401, "invalid_client"},
		"bearer":                  {"Bearer x", grant, 401, "invalid_client"},
		"nothing":                 {"", grant, 401, "invalid_client"},
		"only client_id":          {"", grant + "&client_id=" + c.id, 401, "invalid_client"},
		"post":                    {"", grant + enc(post), 200, ""},
		"post, registered basic":  {"", grant + enc(c), 200, ""},
		"basic, registered post":  {basic(post.id, post.secret), grant, 200, ""},
		"repeated parameter":      {basic(c.id, c.secret), grant + "&scope=openid&scope=openid", 400, "invalid_request"},
		"no grant type":           {basic(c.id, c.secret), "scope=openid", 400, "invalid_request"},
		"unknown grant type":      {basic(c.id, c.secret), "grant_type=magic", 400, "unsupported_grant_type"},
		"grant type not its own":  {basic(c.id, c.secret), "grant_type=password", 401, "invalid_client"},
		"scope not its own":       {basic(c.id, c.secret), grant + "&scope=scim:write", 400, "invalid_scope"},
		"scope that cannot exist": {basic(c.id, c.secret), grant + "&scope=%22", 400, "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			header := []string{"Content-Type", formType}
			if x.auth != "" {
				header = append(header, "Authorization", x.auth)
			}
			r := p.request("POST", "token", x.body, header...).want(x.status, x.code, "")
			if challenge := r.Header.Get("WWW-Authenticate"); (x.code == "invalid_client") != strings.HasPrefix(challenge, "Basic ") {
				t.Errorf("status %d with the challenge %q", x.status, challenge)
			}
			if r.Header.Get("Cache-Control") != "no-store" {
				t.Error("may be cached")
			}
		})
	}
	odd := p.addClient(Client{ClientID: "a client: 100%+&", GrantTypes: []string{grantClientCredentials}})
	odd.post("token", "grant_type", "client_credentials").want(200, "", "")
	p.Change(func(s *Settings) { s.StrictAuthMethod = true })
	p.request("POST", "token", grant+enc(c), "Content-Type", formType).want(401, "invalid_client", "registered client_secret_basic")
	p.request("POST", "token", grant, "Content-Type", formType, "Authorization", basic(post.id, post.secret)).want(401, "invalid_client", "registered client_secret_post")
	p.request("POST", "token", grant, "Content-Type", formType, "Authorization", basic(c.id, c.secret)).want(200, "", "")
	// Parameters in the query are ignored.
	p.request("POST", "token?"+grant+enc(post), "", "Content-Type", formType).want(401, "invalid_client", "Full authentication")
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c := p.addClient(Client{})
	first := c.login(fullScope)
	token := first.text("refresh_token")
	for _, x := range []struct{ scope, want string }{
		{"", fullScope},
		{"storage.read:/myPath", "storage.read:/myPath"},
		{"openid  openid", "openid"},
		{"storage.modify:/data/x storage.read:/", "storage.modify:/data/x storage.read:/"},
	} {
		r := c.refresh(token, "scope", x.scope).want(200, "", "")
		if r.text("scope") != x.want || r.text("refresh_token") != token || r.text("token_type") != "Bearer" || r.text("expires_in") != "1200" {
			t.Errorf("scope %q: %s", x.scope, r.Body)
		}
		if _, claims := p.claims(r.text("access_token")); claims["scope"] != x.want {
			t.Errorf("claim %v, want %s", claims["scope"], x.want)
		}
	}
	for _, scope := range []string{"phone", "storage.modify:/", "storage.modify:/database", "storage.modify:/data phone"} {
		c.refresh(token, "scope", scope).want(400, "invalid_scope", "Up-scoping is not allowed.")
	}
	c.refresh(token, "scope", "storage.modify:/data/../x").want(400, "invalid_scope", "relative path")
	c.refresh(token).want(200, "", "") // the token is still valid
}

func TestRefreshTokenForm(t *testing.T) {
	t.Parallel()
	for life, want := range map[time.Duration]any{0: float64(at.Add(720 * time.Hour).Unix()), -1: nil} {
		p := newIDP(t, Config{Now: fixedClock, Settings: Settings{RefreshTokenLifetime: life}})
		token := p.addClient(Client{}).login("openid offline_access").text("refresh_token")
		header, claims := p.claims(token)
		if header["alg"] != "none" || !strings.HasSuffix(token, ".") || claims["jti"] == nil || claims["exp"] != want {
			t.Errorf("lifetime %v: %v %v", life, header, claims)
		}
	}
}

func TestNoRefreshToken(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	if r := p.addClient(Client{}).login("openid profile"); r.text("refresh_token") != "" {
		t.Error("a refresh token without offline_access")
	}
	if r := p.addClient(Client{GrantTypes: []string{grantDeviceCode}}).login("openid offline_access"); r.text("refresh_token") != "" {
		t.Error("a refresh token for a client without the refresh grant")
	}
}

func TestRefreshRefused(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c, other := p.addClient(Client{}), p.addClient(Client{})
	c.refresh("abc").want(401, "invalid_token", "Refresh token for value abc was not found")
	c.refresh("").want(400, "invalid_request", "")
	c.refresh(c.login("openid").text("access_token")).want(401, "invalid_token", "was not found")

	token := c.login("openid offline_access").text("refresh_token")
	p.MoveClock(720 * time.Hour)
	c.refresh(token).want(401, "invalid_token", "Expired refresh token: "+token)

	// Use by another client revokes the token.
	token = c.login("openid offline_access").text("refresh_token")
	other.refresh(token).want(401, "invalid_client", "Client does not own the presented refresh token")
	c.refresh(token).want(401, "invalid_token", "")
}

func TestRotation(t *testing.T) {
	t.Parallel()
	no := false
	for name, x := range map[string]struct {
		settings Settings
		client   Client
	}{
		"server": {Settings{Rotate: true}, Client{}},
		"client": {Settings{}, Client{ReuseRefreshToken: &no}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newIDP(t, Config{Settings: x.settings})
			c := p.addClient(x.client)
			tokens := []string{c.login("openid offline_access").text("refresh_token")}
			var last reply
			for range 3 {
				last = c.refresh(tokens[len(tokens)-1]).want(200, "", "")
				tokens = append(tokens, last.text("refresh_token"))
			}
			if tokens[0] == tokens[1] || tokens[1] == tokens[2] {
				t.Fatal("the token did not change")
			}
			c.refresh(tokens[3], "scope", "phone").want(400, "invalid_scope", "") // the token stays valid
			if got := c.post("introspect", "token", tokens[1]); got.Body != `{"active":false}` {
				t.Errorf("one that was rotated out: %s", got.Body)
			}
			// Reuse of an old one revokes all tokens of the grant.
			c.refresh(tokens[1]).want(401, "invalid_token", "was not found")
			c.refresh(tokens[3]).want(401, "invalid_token", "was not found")
			p.request("GET", "userinfo", "", "Authorization", "Bearer "+last.text("access_token")).want(401, "invalid_token", "")
		})
	}
}

func TestClearAccessTokensOnRefresh(t *testing.T) {
	t.Parallel()
	for clear, want := range map[bool]int{false: 200, true: 401} {
		p := newIDP(t, Config{})
		c := p.addClient(Client{ClearAccessTokensOnRefresh: clear})
		other := c.login("openid").text("access_token")
		r := c.login("openid offline_access")
		c.refresh(r.text("refresh_token")).want(200, "", "")
		p.request("GET", "userinfo", "", "Authorization", "Bearer "+r.text("access_token")).want(want, "", "")
		p.request("GET", "userinfo", "", "Authorization", "Bearer "+other).want(200, "", "")
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Now: fixedClock, Settings: Settings{AccessTokenLifetime: time.Minute, IDTokenLifetime: 2 * time.Minute}})
	r := p.addClient(Client{}).login("openid")
	_, access := p.claims(r.text("access_token"))
	_, id := p.claims(r.text("id_token"))
	if r.text("expires_in") != "60" || access["exp"] != float64(at.Unix()+60) || id["exp"] != float64(at.Unix()+120) {
		t.Errorf("expires_in %s, exp %v and %v", r.text("expires_in"), access["exp"], id["exp"])
	}
	r = p.addClient(Client{AccessTokenValiditySeconds: 7, RefreshTokenValiditySeconds: 8}).login("openid offline_access")
	if _, claims := p.claims(r.text("refresh_token")); claims["exp"] != float64(at.Unix()+8) {
		t.Errorf("refresh token: %v", claims)
	}
	if r.text("expires_in") != "7" {
		t.Errorf("expires_in %s, the client's is 7", r.text("expires_in"))
	}
}

func TestLifetimeByDefault(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Settings: Settings{AccessTokenLifetime: time.Second}})
	p.Change(func(s *Settings) { s.AccessTokenLifetime = 0 })
	if r := p.addClient(Client{}).login("openid"); r.text("expires_in") != "1200" {
		t.Errorf("expires_in %s", r.text("expires_in"))
	}
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c := p.addClient(Client{GrantTypes: []string{grantClientCredentials, grantRefreshToken}, Scope: "openid offline_access storage.read:/a"})
	r := c.post("token", "grant_type", "client_credentials", "scope", "storage.read:/a/b offline_access").want(200, "", "")
	_, claims := p.claims(r.text("access_token"))
	if claims["sub"] != c.id || claims["scope"] != "storage.read:/a/b offline_access" || r.text("refresh_token") != "" || r.text("id_token") != "" {
		t.Errorf("%v %s", claims, r.Body)
	}
	if r := c.post("token", "grant_type", "client_credentials").want(200, "", ""); r.text("scope") != "openid offline_access storage.read:/a" {
		t.Errorf("scope %q without asking", r.text("scope"))
	}
	c.post("token", "grant_type", "client_credentials", "scope", "storage.read:/ab").want(400, "invalid_scope", "Scope 'storage.read:/ab' not allowed for client '"+c.id+"'")
	public := p.addClient(Client{GrantTypes: []string{grantClientCredentials}, TokenEndpointAuthMethod: authNone})
	public.post("token", "grant_type", "client_credentials").want(401, "invalid_client", "")
}

func TestPassword(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c := p.addClient(Client{GrantTypes: []string{grantPassword, grantRefreshToken}})
	r := c.post("token", "grant_type", "password", "username", "bob", "password", "bob", "scope", "openid offline_access").want(200, "", "")
	if _, claims := p.claims(r.text("id_token")); claims["sub"] != DefaultUsers()[1].Sub || r.text("refresh_token") == "" {
		t.Errorf("%v %s", claims, r.Body)
	}
	for _, x := range [][2]string{{"bob", "alice"}, {"bob", ""}, {"nobody", "nobody"}, {"", ""}} {
		c.post("token", "grant_type", "password", "username", x[0], "password", x[1]).want(400, "invalid_grant", "Bad credentials")
	}
}

func TestDisabledUser(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Users: []User{{Username: "eve", Password: "eve", Disabled: true}}})
	c := p.addClient(Client{GrantTypes: []string{grantPassword}})
	c.post("token", "grant_type", "password", "username", "eve", "password", "eve").want(401, "invalid_grant", "eve")
}

func TestTokenExchange(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Now: fixedClock})
	c := p.addClient(Client{})
	actor := p.addClient(Client{GrantTypes: []string{grantTokenExchange, grantRefreshToken}, Scope: "openid offline_access storage.read:/"})
	third := p.addClient(Client{GrantTypes: []string{grantTokenExchange}})
	subject := c.login("openid").text("access_token")
	p.MoveClock(time.Minute)
	exchange := func(c *rp, subject string, extra ...string) reply {
		return c.post("token", append([]string{"grant_type", grantTokenExchange, "subject_token", subject}, extra...)...)
	}
	r := exchange(actor, subject, "scope", "openid offline_access storage.read:/x", "audience", "https://se.example").want(200, "", "")
	_, claims := p.claims(r.text("access_token"))
	if claims["sub"] != DefaultUsers()[0].Sub || claims["aud"] != "https://se.example" || asText(claims["act"]) != `{"sub":"`+actor.id+`"}` {
		t.Errorf("claims %v", claims)
	}
	if _, claims := p.claims(r.text("id_token")); claims["auth_time"] != float64(at.Unix()) {
		t.Errorf("auth_time %v", claims["auth_time"])
	}
	if r.text("issued_token_type") != "urn:ietf:params:oauth:token-type:jwt" || r.text("refresh_token") == "" {
		t.Errorf("answer %s", r.Body)
	}
	_, claims = p.claims(exchange(third, r.text("access_token"), "scope", "openid").want(200, "", "").text("access_token"))
	if asText(claims["act"]) != `{"act":{"sub":"`+actor.id+`"},"sub":"`+third.id+`"}` {
		t.Errorf("act %v", claims["act"])
	}
	exchange(actor, subject).want(400, "invalid_request", "scope parameter is required")
	exchange(actor, "", "scope", "openid").want(400, "invalid_request", "subject_token")
	exchange(actor, subject, "scope", "openid", "actor_token", "x").want(400, "invalid_request", "Delegation not supported")
	exchange(actor, subject, "scope", "openid", "want_composite", "true").want(400, "invalid_request", "Delegation not supported")
	exchange(actor, r.text("refresh_token"), "scope", "openid").want(401, "invalid_token", "")
	exchange(actor, subject+"x", "scope", "openid").want(401, "invalid_token", "")
	exchange(actor, subject, "scope", "phone").want(400, "invalid_scope", "")
	exchange(actor, r.text("access_token"), "scope", "offline_access").want(403, "access_denied", "")
	p.MoveClock(time.Hour)
	exchange(actor, subject, "scope", "openid").want(401, "invalid_token", "")
}

// TestSweep: sweep keeps what can still be valid, and what detects reuse.
func TestSweep(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Alg: ES256, Settings: Settings{Rotate: true}})
	c, app := p.addClient(Client{}), p.codeClient(Client{})
	old := c.login("openid offline_access").text("refresh_token")
	c.refresh(old).want(200, "", "")
	d := c.post("devicecode", "scope", "openid")
	p.browser().code(app.authorizeURL())
	for range 3000 {
		p.request("GET", "about", "").want(200, "", "") // starts a session of eight hours
		p.MoveClock(time.Minute)
	}
	c.post("token", "grant_type", grantDeviceCode, "device_code", d.text("device_code")).want(400, "invalid_grant", "")
	if len(p.tokens) != 2 || len(p.devices)+len(p.codes) != 0 || len(p.sessions) > 1024 {
		t.Errorf("%d tokens, %d device codes, %d codes, %d sessions are left",
			len(p.tokens), len(p.devices), len(p.codes), len(p.sessions))
	}
	c.refresh(old).want(401, "invalid_token", "")
	for _, token := range p.tokens {
		if !token.grant.dead {
			t.Error("a rotated refresh token was used again, and its family lives")
		}
	}
}
