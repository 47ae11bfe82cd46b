package iam

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestMetadata(t *testing.T) {
	t.Parallel()
	for issuer, base := range map[string]string{"https://iam.example": "https://iam.example/", "https://h.example/iam/": "https://h.example/iam/"} {
		p := newIDP(t, Config{Issuer: issuer})
		for _, path := range []string{".well-known/openid-configuration", ".well-known/oauth-authorization-server"} {
			r := p.request("GET", path, "").want(200, "", "")
			for name, want := range map[string]string{
				"issuer":                        base,
				"authorization_endpoint":        base + "authorize",
				"token_endpoint":                base + "token",
				"userinfo_endpoint":             base + "userinfo",
				"jwks_uri":                      base + "jwk",
				"registration_endpoint":         base + "iam/api/client-registration",
				"introspection_endpoint":        base + "introspect",
				"revocation_endpoint":           base + "revoke",
				"device_authorization_endpoint": base + "devicecode",
				"authorization_response_iss_parameter_supported": "true",
				"code_challenge_methods_supported":               `["plain","S256"]`,
				"id_token_signing_alg_values_supported":          `["RS256"]`,
				"token_endpoint_auth_methods_supported":          asText(authMethods),
				"grant_types_supported": asText([]string{grantAuthorizationCode, grantRefreshToken, grantClientCredentials,
					grantPassword, grantTokenExchange, grantDeviceCode}),
			} {
				if got := r.text(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			for _, scope := range strings.Fields("openid offline_access storage.read:/ wlcg.groups") {
				if !strings.Contains(r.text("scopes_supported"), `"`+scope+`"`) {
					t.Errorf("no scope %s", scope)
				}
			}
		}
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Issuer: "https://h.example/iam/"})
	for path, want := range map[string]int{
		"https://h.example/iam/jwk":         200,
		"https://h.example/jwk":             200, // behind a proxy that strips the path
		"https://h.example/iam//jwk":        404,
		"https://h.example//iam/jwk":        404,
		"https://h.example/iam/../jwk":      404,
		"https://h.example/iam/nothing":     404,
		"https://h.example/iam/token":       405,
		"https://h.example/iam/_fake/codes": 404,
	} {
		p.request("GET", path, "").want(want, "", "")
	}
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for want, cfg := range map[string]Config{
		"issuer":              {},
		`issuer "ftp://x/"`:   {Issuer: "ftp://x/"},
		"query":               {Issuer: "https://x/?a"},
		"and fragment":        {Issuer: "https://x/#a"},
		`profile "x"`:         {Issuer: testIssuer, Profile: "x"},
		`algorithm "HS256"`:   {Issuer: testIssuer, Alg: "HS256"},
		"defined twice":       {Issuer: testIssuer, Users: []User{{Username: "a"}, {Username: "a"}}},
		"has no username":     {Issuer: testIssuer, Users: []User{{}}},
		`client "x"`:          {Issuer: testIssuer, Clients: []Client{{ClientID: "x"}, {ClientID: "x"}}},
		"cannot sign":         {Issuer: testIssuer, Alg: ES256, Key: testKey()},
		"P-256":               {Issuer: testIssuer, Alg: ES256, Key: key},
		"grant_types: magic ": {Issuer: testIssuer, Clients: []Client{{GrantTypes: []string{"magic"}}}},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	var cfg Config
	const file = `{"users":[{"username":"carol","password":"pw","sub":"c","groups":["g"]}],"scopes":["openid","x"],"default_scopes":["openid"],
		"clients":[{"client_id":"me","client_secret":"mine","grant_types":["password"],"scope":"openid x"}]}`
	if err := cfg.ReadFile(strings.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	p := newIDP(t, cfg)
	c := &rp{p, "me", "mine"}
	r := c.post("token", "grant_type", "password", "username", "carol", "password", "pw", "scope", "x").want(200, "", "")
	if _, claims := p.claims(r.text("access_token")); claims["sub"] != "c" {
		t.Errorf("claims %v", claims)
	}
	if r := p.register(`{"client_name":"abcd","grant_types":["refresh_token"]}`); r.text("scope") != "openid" {
		t.Errorf("scope %q by default", r.text("scope"))
	}
	for _, bad := range []string{"", "[]", `{"user":[]}`, `{"users":[{"name":"x"}]}`} {
		if err := new(Config).ReadFile(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	s, err := Start(Config{Alg: ES256})
	if err != nil {
		t.Fatal(err)
	}
	s.Ready()
	resp, err := http.Get(s.Issuer() + "jwk")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var set struct{ Keys []map[string]any }
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil || len(set.Keys) != 1 || set.Keys[0]["crv"] != "P-256" || set.Keys[0]["use"] != "sig" || set.Keys[0]["alg"] != ES256 {
		t.Errorf("%v %v", set, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := http.Get(s.Issuer()); err == nil {
		t.Error("still there after Close")
	}
	if err := newIDP(t, Config{}).Close(); err != nil {
		t.Errorf("closing one that does not listen: %v", err)
	}
}

// TestCloseWhileAnswering: Close waits for running requests, but not forever.
func TestCloseWhileAnswering(t *testing.T) {
	t.Parallel()
	for delay, want := range map[time.Duration]int{100 * time.Millisecond: 200, time.Hour: 0} {
		s, err := Start(Config{})
		if err != nil {
			t.Fatal(err)
		}
		s.Fail(Fault{Delay: delay})
		status := make(chan int)
		go func() {
			code := 0
			if resp, err := http.Get(s.Issuer() + "about"); err == nil {
				code = resp.StatusCode
				resp.Body.Close()
			}
			status <- code
		}()
		for len(s.Requests()) == 0 {
			runtime.Gosched()
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if code := <-status; code != want {
			t.Errorf("delay %v: status %d, want %d", delay, code, want)
		}
	}
}

// TestWithoutKey: requests that need a key wait until the first one exists.
func TestWithoutKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newIDP(t, Config{Clients: []Client{{ClientID: "me", ClientSecret: "mine", GrantTypes: []string{grantClientCredentials}}}})
		p.keys = &keyring{alg: RS256}
		p.keys.first.Add(1)
		for _, r := range []*http.Request{
			httptest.NewRequest("GET", "/jwk", nil),
			httptest.NewRequest("POST", "/token", strings.NewReader("grant_type=client_credentials&client_id=me&client_secret=mine")),
		} {
			r.Header.Set("Content-Type", formType)
			go func() {
				w := httptest.NewRecorder()
				p.ServeHTTP(w, r)
				if w.Code != 200 {
					t.Errorf("%s: %d %s", r.URL, w.Code, w.Body)
				}
			}()
		}
		synctest.Wait()
		p.request("GET", ".well-known/openid-configuration", "").want(200, "", "") // they delay no other request
		p.keys.rotate()
		p.keys.first.Done()
	})
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Alg: ES256, Settings: Settings{Rotate: true, AutoApprove: true}})
	c := p.addClient(Client{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			d := c.post("devicecode", "scope", "openid offline_access")
			r := c.post("token", "grant_type", grantDeviceCode, "device_code", d.text("device_code"))
			for range 5 {
				r = c.refresh(r.text("refresh_token"))
			}
			p.MoveClock(time.Millisecond)
			if r.Status != 200 {
				t.Errorf("status %d: %s", r.Status, r.Body)
			}
		})
	}
	wg.Wait()
}

// TestDoors: a fake that shares code with the client cannot catch its bugs.
func TestDoors(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "oidc-agent/fakeidp").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		if strings.HasPrefix(pkg, "oidc-agent/") && !strings.HasPrefix(pkg, "oidc-agent/fakeidp") {
			t.Errorf("fakeidp imports %s", pkg)
		}
	}
}
