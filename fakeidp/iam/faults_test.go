package iam

import (
	"slices"
	"strings"
	"testing"
)

// Every switch is a list of valid faults.
func TestSwitches(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Control: true, Alg: ES256})
	for name, list := range p.switches() {
		if len(list) == 0 {
			t.Errorf("%s does nothing", name)
		}
		for _, f := range list {
			if err := p.Fail(f); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	p.ClearFaults()
	if list := p.control("GET", "switches", "").want(200, "", "").Body; !strings.Contains(list, `"invalid-iss"`) {
		t.Errorf("switches %s", list)
	}
	p.control("POST", "switch", `{"name":"nosuch"}`).want(400, "bad_request", "nosuch")
	p.control("POST", "switch", `{"name":"invalid-iss"}`).want(204, "", "")
	c := p.addClient(Client{})
	if _, claims := p.claims(c.login("openid").text("id_token")); claims["iss"] != testIssuer+"1" {
		t.Errorf("claims %v", claims)
	}
	p.control("DELETE", "faults", "").want(204, "", "")
	if _, claims := p.claims(c.login("openid").text("id_token")); claims["iss"] != testIssuer {
		t.Errorf("claims %v", claims)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Control: true})
	p.control("POST", "settings", `{"conformance":true}`).want(200, "", "")
	request := `{"client_name":"odd one","grant_types":["urn:ietf:params:oauth:grant-type:device_code","refresh_token"],"scope":"openid offline_access"`
	made := p.request("POST", registrationPath[1:], request+`}`, "Content-Type", jsonType).want(201, "", "")
	if made.text("registration_access_token") != "" || made.text("client_secret_expires_at") != "0" || made.text("code_challenge_method") != "S256" {
		t.Errorf("registered %s", made.Body)
	}
	p.request("POST", registrationPath[1:], request+`,"token_endpoint_auth_method":"client_secret_post"}`, "Content-Type", jsonType).want(400, "", "")
	c := &rp{p, made.text("client_id"), made.text("client_secret")}
	for _, odd := range []string{c.id, c.secret} {
		if !strings.Contains(odd, `%+&:"\ `) {
			t.Errorf("credential %q", odd)
		}
	}
	first := c.login("openid offline_access")
	again := c.refresh(first.text("refresh_token")).want(200, "", "")
	if first.text("expires_in") != "" || again.text("expires_in") != "" {
		t.Error("there is an expires_in")
	}
	if header, claims := p.claims(again.text("id_token")); header["kid"] != "rsa1" || claims["exp"].(float64)-claims["iat"].(float64) != 300 {
		t.Errorf("%v %v", header, claims)
	}
	keys := p.request("GET", "jwk", "").Body
	if strings.Contains(keys, `"alg":"RS256"`) {
		t.Errorf("a key tells its algorithm: %s", keys)
	}
	for _, part := range []string{"secp256k1", "Ed25519", "AKP", "invented", `"enc"`} {
		if !strings.Contains(keys, part) {
			t.Errorf("no %s among the keys", part)
		}
	}
	if d := p.request("GET", ".well-known/openid-configuration", ""); d.text("token_endpoint_auth_methods_supported") != `["client_secret_basic"]` {
		t.Errorf("metadata %s", d.Body)
	}
}

// The parameters of a redirect can be changed too.
func TestForgedCallback(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Settings: Settings{AutoApprove: true}})
	c := p.addClient(Client{RedirectURIs: []string{"http://localhost:1/"}})
	p.Fail(Fault{Path: "authorize", Set: map[string]any{"code": []any{"a", "b"}, "iss": nil}, Append: map[string]string{"state": "1"}})
	answer := p.request("GET", "authorize?"+values("response_type", "code", "client_id", c.id, "state", "s", "scope", "openid").Encode(), "")
	q := answer.Header.Get("Location")
	if q != "http://localhost:1/?code=a&code=b&state=s1" {
		t.Errorf("sent to %s", q)
	}
	if !slices.IsSorted(p.Switches()) {
		t.Error("the switches are not sorted")
	}
}
