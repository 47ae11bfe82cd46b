package iam

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

const registrationRequest = `{"client_name":"oidc-agent:demo","grant_types":["refresh_token","urn:ietf:params:oauth:grant-type:device_code"],"scope":"openid offline_access storage.read:/ scim:read storage.read:/é"}`

func (p *idp) register(body string) reply {
	p.t.Helper()
	return p.request("POST", "iam/api/client-registration", body, "Content-Type", jsonType)
}

func TestRegister(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Now: fixedClock})
	r := p.register(registrationRequest).want(201, "", "")
	for name, want := range map[string]string{
		"client_name":                "oidc-agent:demo",
		"scope":                      "openid offline_access storage.read:/", // scim:read is restricted and é not a valid character: both are dropped silently
		"token_endpoint_auth_method": "client_secret_basic",
		"client_id_issued_at":        "1772600767",
		"created_at":                 "1772600767000",
		"client_secret_expires_at":   "0",
		"dynamically_registered":     "true",
		"active":                     "true",
		"registration_client_uri":    testIssuer + "iam/api/client-registration/" + r.text("client_id"),
	} {
		if got := r.text(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if n := len(r.text("client_secret")); n != 86 {
		t.Errorf("the secret has %d characters, want 86", n)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(r.text("client_id")) {
		t.Errorf("client_id %q is no UUID", r.text("client_id"))
	}
	if _, claims := p.claims(r.text("registration_access_token")); claims["iss"] != testIssuer {
		t.Errorf("the registration token is no JWT of ours: %v", claims)
	}
}

func TestRegisterRefused(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	const device = `"grant_types":["urn:ietf:params:oauth:grant-type:device_code"]`
	for name, c := range map[string]struct{ body, want string }{
		"not JSON":           {`client_name=x`, "not a client in JSON"},
		"no name":            {`{` + device + `}`, "client_name"},
		"short name":         {`{"client_name":"abc",` + device + `}`, "client_name"},
		"long name":          {`{"client_name":"` + strings.Repeat("x", 257) + `",` + device + `}`, "client_name"},
		"no grants":          {`{"client_name":"abcd"}`, "grant_types"},
		"password":           {`{"client_name":"abcd","grant_types":["password"]}`, "Grant type not allowed: password"},
		"client credentials": {`{"client_name":"abcd","grant_types":["client_credentials"]}`, "Grant type not allowed: client_credentials"},
		"exchange":           {`{"client_name":"abcd","grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"]}`, "Grant type not allowed: urn"},
		"unknown grant":      {`{"client_name":"abcd","grant_types":["magic"]}`, "magic"},
		"no redirect":        {`{"client_name":"abcd","grant_types":["authorization_code"]}`, "redirect"},
		"no host":            {`{"client_name":"abcd","grant_types":["authorization_code"],"redirect_uris":["http:/x"]}`, "no host"},
		"implicit":           {`{"client_name":"abcd","grant_types":["implicit"]}`, "redirect"},
		"name in bytes":      {`{"client_name":"éé",` + device + `}`, "client_name"},
		"fragment":           {`{"client_name":"abcd","grant_types":["authorization_code"],"redirect_uris":["http://localhost/#x"]}`, "fragment"},
		"script":             {`{"client_name":"abcd","grant_types":["authorization_code"],"redirect_uris":["javascript:alert(1)"]}`, "not allowed"},
		"relative":           {`{"client_name":"abcd","grant_types":["authorization_code"],"redirect_uris":["/back"]}`, "absolute"},
		"client_id":          {`{"client_name":"abcd","client_id":"me",` + device + `}`, "client_id"},
		"secret":             {`{"client_name":"abcd","client_secret":"mine",` + device + `}`, "client_secret"},
		"long scope":         {`{"client_name":"abcd","scope":"` + strings.Repeat("x", 513) + `",` + device + `}`, "scope"},
		"contact":            {`{"client_name":"abcd","contacts":["me"],` + device + `}`, "contacts"},
		"method":             {`{"client_name":"abcd","token_endpoint_auth_method":"magic",` + device + `}`, "magic"},
		"challenge":          {`{"client_name":"abcd","code_challenge_method":"S512",` + device + `}`, "S512"},
	} {
		t.Run(name, func(t *testing.T) {
			r := p.register(c.body)
			if r.Status != 400 || !strings.Contains(r.text("error"), c.want) {
				t.Errorf("status %d, body %s, want %q", r.Status, r.Body, c.want)
			}
		})
	}
	p.request("POST", "iam/api/client-registration", registrationRequest, "Content-Type", formType).want(415, "", "")
}

// TestRegisterAsUser: a client that is registered with a user's token belongs to that user.
func TestRegisterAsUser(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	token := p.addClient(Client{}).login("openid").text("access_token")
	register := func(body, token string) reply {
		return p.request("POST", "iam/api/client-registration", body, "Content-Type", jsonType, "Authorization", "Bearer "+token)
	}
	r := register(`{"client_name":"alice's own","grant_types":["client_credentials"]}`, token).want(201, "", "")
	if r.text("registration_access_token") != "" || r.text("registration_client_uri") != "" || r.text("dynamically_registered") != "true" {
		t.Errorf("not as for a user: %s", r.Body)
	}
	register(registrationRequest, "unknown").want(401, "invalid_token", "Invalid access token")
	if body := register(`{"client_name":"alice's own","grant_types":["password"]}`, token).want(400, "", "").text("error"); body != "Grant type not allowed: password" {
		t.Errorf("error %q", body)
	}
	b := p.dashboardOf("alice")
	b.see(200, r.text("client_id"))
	b.open("GET", "/dashboard/clients/"+r.text("client_id"), "")
	if b.see(200, "alice&#39;s own"); strings.Contains(b.last.Body, r.text("client_secret")) {
		t.Error("the secret is shown again")
	}
}

func TestRegisterDefaults(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	r := p.register(`{"client_name":"abcd","grant_types":["authorization_code"],"redirect_uris":["http://localhost:4242","edu.kit.data.oidc-agent:/redirect"],"token_endpoint_auth_method":"none"}`).want(201, "", "")
	if got := r.text("scope"); got != "openid profile email address phone offline_access" {
		t.Errorf("scope %q", got)
	}
	if got := r.text("response_types"); got != `["code"]` {
		t.Errorf("response_types %q", got)
	}
	if strings.Contains(r.Body, "client_secret") {
		t.Errorf("a public client got a secret: %s", r.Body)
	}
	r = p.register(`{"client_name":"abcd","grant_types":["refresh_token"],"active":false,"allow_introspection":false,
		"access_token_validity_seconds":7,"refresh_token_validity_seconds":7,"device_code_validity_seconds":7}`).want(201, "", "")
	if r.text("active") != "true" || strings.Contains(r.Body, "introspection") || strings.Contains(r.Body, "validity") {
		t.Errorf("what only an administrator decides: %s", r.Body)
	}
}

func TestManage(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	r := p.register(registrationRequest).want(201, "", "")
	uri, auth := r.text("registration_client_uri"), "Bearer "+r.text("registration_access_token")

	if got := p.request("GET", uri, "", "Authorization", auth).want(200, "", ""); got.text("client_secret") != r.text("client_secret") {
		t.Errorf("read: %s", got.Body)
	}
	p.request("GET", uri, "").want(401, "invalid_token", "")
	p.request("GET", uri, "", "Authorization", auth+"x").want(400, "Invalid registration access token", "")
	p.request("GET", uri+"x", "", "Authorization", auth).want(404, "Client not found: "+r.text("client_id")+"x", "")

	var c map[string]any
	if err := json.Unmarshal([]byte(r.Body), &c); err != nil {
		t.Fatal(err)
	}
	put := func(change func()) reply {
		change()
		body, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return p.request("PUT", uri, string(body), "Authorization", auth, "Content-Type", jsonType)
	}
	got := put(func() { c["client_name"], c["scope"] = "other name", "openid" }).want(200, "", "")
	if got.text("client_name") != "other name" || got.text("scope") != "openid" || got.text("client_secret") != r.text("client_secret") {
		t.Errorf("update: %s", got.Body)
	}
	put(func() { c["client_secret"] = "mine" }).want(400, "client_secret cannot be changed", "")
	put(func() { c["client_secret"], c["client_id"] = nil, "other" }).want(400, "client_id must be that of the client", "")

	p.request("DELETE", uri, "", "Authorization", auth).want(204, "", "")
	p.request("GET", uri, "", "Authorization", auth).want(404, "Client not found: "+r.text("client_id"), "")
}

func TestRegistrationTokenRotates(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Settings: Settings{RotateRegistrationTokens: true}})
	r := p.register(registrationRequest)
	uri, old := r.text("registration_client_uri"), r.text("registration_access_token")
	r = p.request("GET", uri, "", "Authorization", "Bearer "+old).want(200, "", "")
	p.request("GET", uri, "", "Authorization", "Bearer "+old).want(400, "Invalid registration access token", "")
	p.request("GET", uri, "", "Authorization", "Bearer "+r.text("registration_access_token")).want(200, "", "")
}

func TestDeletedClientLosesTokens(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	r := p.register(registrationRequest)
	c := &rp{p, r.text("client_id"), r.text("client_secret")}
	token := c.login("openid offline_access").text("access_token")
	p.request("GET", "userinfo", "", "Authorization", "Bearer "+token).want(200, "", "")
	p.request("DELETE", r.text("registration_client_uri"), "", "Authorization", "Bearer "+r.text("registration_access_token")).want(204, "", "")
	p.request("GET", "userinfo", "", "Authorization", "Bearer "+token).want(401, "invalid_token", "")
}

func TestSuspendedClient(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c := p.addClient(Client{Active: new(false)})
	c.post("devicecode", "scope", "openid").want(401, "invalid_client", "suspended")
	p.request("GET", registrationPath[1:]+"/"+c.id, "", "Authorization", "Bearer ").want(400, "Invalid registration access token", "")
	r := p.register(registrationRequest)
	if err := p.Suspend("", r.text("client_id"), true); err != nil {
		t.Fatal(err)
	}
	p.request("GET", r.text("registration_client_uri"), "", "Authorization", "Bearer "+r.text("registration_access_token")).
		want(403, "Client is suspended: "+r.text("client_id"), "")
}
