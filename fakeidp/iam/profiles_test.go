package iam

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"testing"
)

// claimNames returns the names of the claims, sorted.
func claimNames(claims map[string]any) string {
	return strings.Join(slices.Sorted(maps.Keys(claims)), " ")
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	scopes := "openid email profile offline_access wlcg.groups eduperson_entitlement"
	const base = "client_id exp iat iss jti sub"
	for _, x := range []struct {
		server      Profile
		clientScope string
		want        string
	}{
		{WLCG, scopes, "aud client_id exp iat iss jti nbf scope sub wlcg.groups wlcg.ver"},
		{IAM, scopes, base},
		{AARC, scopes, "client_id eduperson_entitlement exp iat iss jti sub voperson_id"},
		{IAM, scopes + " wlcg", "aud client_id exp iat iss jti nbf scope sub wlcg.groups wlcg.ver"},
		{WLCG, scopes + " iam", base},
		{WLCG, scopes + " iam aarc", "aud client_id exp iat iss jti nbf scope sub wlcg.groups wlcg.ver"},
	} {
		p := newIDP(t, Config{Profile: x.server, Now: fixedClock})
		r := p.addClient(Client{Scope: x.clientScope}).login(scopes)
		header, claims := p.claims(r.text("access_token"))
		if got := claimNames(claims); got != x.want {
			t.Errorf("%s, %s: claims %s", x.server, x.clientScope, got)
		}
		if header["alg"] != "RS256" || header["kid"] != "rsa1" || claims["iss"] != testIssuer || claims["sub"] != DefaultUsers()[0].Sub {
			t.Errorf("header %v, claims %v", header, claims)
		}
	}
}

func TestAudience(t *testing.T) {
	t.Parallel()
	const se, ce = "https://se.example", "https://ce.example"
	for _, x := range []struct {
		profile Profile
		params  []string
		want    string
	}{
		{WLCG, nil, "https://wlcg.cern.ch/jwt/v1/any"},
		{IAM, nil, ""},
		{WLCG, []string{"audience", se}, se},
		{WLCG, []string{"aud", se}, se},
		{IAM, []string{"audience", se + " " + ce}, `["` + se + `","` + ce + `"]`},
		{WLCG, []string{"resource", se, "resource", ce}, `["` + se + `","` + ce + `"]`},
	} {
		p := newIDP(t, Config{Profile: x.profile})
		c := p.addClient(Client{})
		for name, r := range map[string]reply{
			"device":  c.login("openid", x.params...),
			"refresh": c.refresh(c.login("openid offline_access").text("refresh_token"), x.params...),
		} {
			if _, claims := p.claims(r.text("access_token")); asText(claims["aud"]) != x.want {
				t.Errorf("%s, %s, %v: aud %v", name, x.profile, x.params, claims["aud"])
			}
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Users: []User{{Username: "u", Groups: []string{"cms", "atlas", "cms/uscms"}}, {Username: "v"}}})
	c := p.addClient(Client{})
	for scope, want := range map[string]string{
		"openid":                              "",
		"wlcg.groups":                         `["/atlas","/cms","/cms/uscms"]`,
		"wlcg.groups:/cms/uscms":              `["/cms/uscms","/atlas","/cms"]`,
		"wlcg.groups:/cms/uscms wlcg.groups":  `["/cms/uscms","/atlas","/cms"]`,
		"wlcg.groups:/dteam":                  `["/atlas","/cms","/cms/uscms"]`,
		"wlcg.groups wlcg.groups:/cms openid": `["/atlas","/cms","/cms/uscms"]`,
	} {
		if _, claims := p.claims(c.login(scope).text("access_token")); asText(claims["wlcg.groups"]) != want {
			t.Errorf("%s: %v, want %s", scope, claims["wlcg.groups"], want)
		}
	}
	d := c.post("devicecode", "scope", "wlcg.groups")
	if err := p.ApproveAs(d.text("user_code"), "v"); err != nil {
		t.Fatal(err)
	}
	r := c.post("token", "grant_type", grantDeviceCode, "device_code", d.text("device_code"))
	if _, claims := p.claims(r.text("access_token")); claims["wlcg.ver"] == nil || slices.Contains(slices.Collect(maps.Keys(claims)), "wlcg.groups") {
		t.Errorf("claims %v of a user without groups", claims)
	}
}

func TestIDToken(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{RS256, ES256} {
		p := newIDP(t, Config{Alg: alg, Now: fixedClock})
		c := p.addClient(Client{})
		r := c.login("openid profile email")
		header, claims := p.claims(r.text("id_token"))
		digest := sha256.Sum256([]byte(r.text("access_token")))
		for name, want := range map[string]any{
			"iss": testIssuer, "aud": c.id, "sub": DefaultUsers()[0].Sub, "at_hash": b64(digest[:16]), "auth_time": float64(at.Unix()),
			"iat": float64(at.Unix()), "exp": float64(at.Unix() + 600), "preferred_username": "alice", "email": "alice@example.org", "nonce": nil,
		} {
			if claims[name] != want {
				t.Errorf("%s: %v, want %v", name, claims[name], want)
			}
		}
		if header["alg"] != alg {
			t.Errorf("alg %v", header["alg"])
		}
		if r := c.login("profile"); r.text("id_token") != "" {
			t.Error("an ID token without openid")
		}
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Alg: ES256})
	c := p.addClient(Client{})
	old := c.login("openid").text("access_token")
	p.RotateSigningKey()
	header, _ := p.claims(c.login("openid").text("access_token"))
	if header["kid"] != "ec2" {
		t.Errorf("kid %v", header["kid"])
	}
	p.claims(old) // still verifies
}
