package iam

import (
	"strings"
	"testing"
	"time"
)

func TestUserinfo(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		profile     Profile
		scope, want string
	}{
		{WLCG, "openid", "sub wlcg.ver"},
		{WLCG, "openid email wlcg.groups", "email email_verified sub wlcg.groups wlcg.ver"},
		{IAM, "openid", "sub"},
		{IAM, "openid profile email", "email email_verified family_name given_name groups name organisation_name preferred_username sub"},
		{WLCG, "openid profile", "family_name given_name name organisation_name preferred_username sub wlcg.ver"},
		{AARC, "openid aarc", "eduperson_assurance eduperson_entitlement eduperson_scoped_affiliation entitlements sub voperson_id"},
		{AARC, "openid eduperson_assurance", "eduperson_assurance sub voperson_id"},
	} {
		p := newIDP(t, Config{Profile: x.profile})
		token := p.addClient(Client{}).login(x.scope).text("access_token")
		p.request("GET", "userinfo", "", "Authorization", "bearer "+token).want(200, "", "")
		r := p.request("POST", "userinfo", "access_token="+token, "Content-Type", formType).want(200, "", "")
		var names []string
		for _, n := range strings.Fields(x.want) {
			if r.text(n) != "" {
				names = append(names, n)
			}
		}
		if strings.Join(names, " ") != x.want || strings.Count(r.Body, `":`) != len(names) {
			t.Errorf("%s %s: %s", x.profile, x.scope, r.Body)
		}
		if e := r.text("entitlements"); e != "" && e != `["urn:geant:iam.example:group:wlcg","urn:geant:iam.example:group:wlcg:xfers"]` {
			t.Errorf("entitlements %s", e)
		}
	}
	p := newIDP(t, Config{Users: []User{{Username: "u", Sub: "s"}}})
	token := p.addClient(Client{}).login("openid email").text("access_token")
	if r := p.request("GET", "userinfo", "", "Authorization", "Bearer "+token); r.Body != `{"sub":"s","wlcg.ver":"1.0"}` {
		t.Errorf("without an address: %s", r.Body)
	}
}

func TestUserinfoRefused(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c := p.addClient(Client{})
	token := c.login("openid").text("access_token")
	plain := c.login("profile").text("access_token")
	for name, x := range map[string]struct {
		r               reply
		status          int
		code, challenge string
	}{
		"no token":   {p.request("GET", "userinfo", ""), 401, "unauthorized", `Bearer realm="fakeidp"`},
		"in query":   {p.request("GET", "userinfo?access_token="+token, ""), 401, "unauthorized", `Bearer`},
		"wrong":      {p.request("GET", "userinfo", "", "Authorization", "Bearer "+token+"1"), 401, "invalid_token", `error="invalid_token"`},
		"refresh":    {p.request("GET", "userinfo", "", "Authorization", "Bearer "+c.login("openid offline_access").text("refresh_token")), 401, "invalid_token", ""},
		"no openid":  {p.request("GET", "userinfo", "", "Authorization", "Bearer "+plain), 403, "insufficient_scope", `scope="openid"`},
		"twice":      {p.request("POST", "userinfo", "access_token="+token, "Authorization", "Bearer "+token, "Content-Type", formType), 400, "invalid_request", ""},
		"basic auth": {p.request("GET", "userinfo", "", "Authorization", basic(c.id, c.secret)), 401, "unauthorized", "Bearer"},
	} {
		t.Run(name, func(t *testing.T) {
			x.r.want(x.status, x.code, "")
			if got := x.r.Header.Get("WWW-Authenticate"); !strings.Contains(got, x.challenge) {
				t.Errorf("challenge %q", got)
			}
		})
	}
	p.MoveClock(20 * time.Minute)
	p.request("GET", "userinfo", "", "Authorization", "Bearer "+token).want(401, "invalid_token", "")
}

func TestIntrospect(t *testing.T) {
	t.Parallel()
	no := false
	p := newIDP(t, Config{Now: fixedClock})
	c := p.addClient(Client{})
	r := c.login("openid offline_access wlcg.groups")
	got := c.post("introspect", "token", r.text("access_token")).want(200, "", "")
	for name, want := range map[string]string{
		"active": "true", "scope": "openid offline_access wlcg.groups", "client_id": c.id, "token_type": "Bearer", "iss": testIssuer,
		"sub": DefaultUsers()[0].Sub, "username": "alice", "exp": "1772601967", "wlcg.groups": `["/wlcg","/wlcg/xfers"]`,
	} {
		if got.text(name) != want {
			t.Errorf("%s: %q, want %q", name, got.text(name), want)
		}
	}
	if got := c.post("introspect", "token", r.text("refresh_token")); got.text("active") != "true" || got.text("exp") == "" || got.text("token_type") != "" {
		t.Errorf("refresh token: %s", got.Body)
	}
	const inactive = `{"active":false}`
	if got := c.post("introspect", "token", "abc"); got.Status != 200 || got.Body != inactive {
		t.Errorf("unknown token: %s", got.Body)
	}
	c.post("introspect").want(400, "invalid_request", "")
	p.request("POST", "introspect", "token=abc", "Content-Type", formType).want(401, "invalid_client", "")
	p.addClient(Client{AllowIntrospection: &no}).post("introspect", "token", "abc").want(403, "access_denied", "")
	p.addClient(Client{TokenEndpointAuthMethod: authNone}).post("introspect", "token", "abc").want(403, "access_denied", "")
	p.MoveClock(20 * time.Minute)
	if got := c.post("introspect", "token", r.text("access_token")); got.Body != inactive {
		t.Errorf("expired token: %s", got.Body)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c, other := p.addClient(Client{}), p.addClient(Client{})
	active := func(token string) bool { return c.post("introspect", "token", token).text("active") == "true" }
	r := c.login("openid offline_access")
	access, refresh := r.text("access_token"), r.text("refresh_token")

	other.post("revoke", "token", refresh).want(403, "access_denied", "")
	c.post("revoke", "token", "unknown").want(200, "", "")
	c.post("revoke").want(400, "invalid_request", "")
	p.request("POST", "revoke", "token="+refresh, "Content-Type", formType).want(401, "invalid_client", "")
	if !active(access) || !active(refresh) {
		t.Fatal("one was revoked by a stranger")
	}
	c.post("revoke", "token", access).want(200, "", "")
	if active(access) || !active(refresh) {
		t.Fatal("the access token alone had to go")
	}
	access = c.refresh(refresh).text("access_token")
	c.post("revoke", "token", refresh, "token_type_hint", "access_token").want(200, "", "") // a wrong hint is ignored
	if active(access) || active(refresh) {
		t.Fatal("the refresh token had to take its access token along")
	}
	c.refresh(refresh).want(401, "invalid_token", "was not found")
	c.post("revoke", "token", refresh).want(200, "", "")
}
