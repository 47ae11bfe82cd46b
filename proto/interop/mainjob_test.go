package interop

import (
	"net/url"
	"testing"

	"oidc-agent/proto/e2e/user"
)

// TestMainJob goes from nothing to a usable access token, on a provider with
// and without rotating refresh tokens.
func TestMainJob(t *testing.T) {
	for _, mode := range []struct {
		name    string
		args    []string
		rotates bool
	}{
		{"reused refresh token", nil, false},
		{"rotating refresh token", []string{"--rotate"}, true},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			issuer := startProvider(t, mode.args...)
			h := newHome(t)
			h.startAgent()
			h.must(user.Program{
				Args: []string{"oidc-gen", "-w", "device", "--prompt=none", "--pw-env", "--issuer=" + issuer,
					"--scope=openid profile offline_access storage.read:/", "demo"},
				User: approve,
			})
			checkOpaque(t, issuer, h)
			checkJWT(t, issuer, h)
			checkRefreshes(t, h, mode.rotates)
			checkOpaque(t, issuer, h)
		})
	}
}

// checkOpaque checks with the provider that the usual token is valid.
func checkOpaque(t *testing.T, issuer string, h *home) {
	t.Helper()
	token := h.run("oidc-token", "demo")
	metadata := fetch(t, issuer+"/.well-known/openid-configuration", "", "", nil)
	info := fetch(t, metadata["userinfo_endpoint"].(string), "", token, nil)
	if info["sub"] != "alice" {
		t.Errorf("userinfo: %v", info)
	}
	config := h.account("demo")
	state := fetch(t, metadata["introspection_endpoint"].(string), config["client_id"].(string), config["client_secret"].(string),
		url.Values{"token": {token}})
	if state["active"] != true || state["client_id"] != config["client_id"] {
		t.Errorf("introspection: %v", state)
	}
}

// checkJWT requests a token for a resource server, with fewer scopes.
func checkJWT(t *testing.T, issuer string, h *home) {
	t.Helper()
	claims := verifyJWT(t, issuer, h.run("oidc-token", "--aud="+storage, "-s", "storage.read:/", "demo"))
	for name, want := range map[string]any{"iss": issuer, "aud": storage, "scope": "storage.read:/", "sub": "alice"} {
		if claims[name] != want {
			t.Errorf("claim %s = %v, want %v", name, claims[name], want)
		}
	}
}

// checkRefreshes forces fifty refreshes, and then uses the account file with a new agent.
func checkRefreshes(t *testing.T, h *home, rotates bool) {
	t.Helper()
	before := h.account("demo")["refresh_token"]
	seen := map[string]bool{}
	for range 50 {
		seen[h.run("oidc-token", "-f", "demo")] = true
	}
	if len(seen) != 50 {
		t.Errorf("50 forced refreshes gave %d tokens", len(seen))
	}
	h.stopAgent()
	h.startAgent()
	h.run("oidc-add", "--pw-env", "demo")
	h.run("oidc-token", "-f", "demo")
	if after := h.account("demo")["refresh_token"]; (after != before) != rotates {
		t.Errorf("the refresh token on disk changed: %t, want %t", after != before, rotates)
	}
}
