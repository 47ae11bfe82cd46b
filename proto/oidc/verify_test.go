package oidc

import (
	"cmp"
	"net/http"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

// A token of any kind is its issuer's, or is not, or cannot be checked.
func TestVerifySignature(t *testing.T) {
	t.Parallel()
	ours, theirs := testSigners()["rsa"], testSigners()["rsa2"]
	rs256 := map[string]any{"alg": "RS256", "kid": "rsa"}
	claims := map[string]any{"iss": "https://op.example/", "exp": 1} // its times are not looked at
	requests := 0
	good := sign(t, ours, rs256, claims)
	for _, c := range []struct {
		name, token, want string
		invalid           bool
	}{
		{"good", good, "", false},
		{"another key", sign(t, theirs, rs256, claims), "signature", true},
		{"unknown key", sign(t, theirs, map[string]any{"alg": "RS256", "kid": "rsa2"}, claims), "no key", true},
		{"issuer without its slash", sign(t, ours, rs256, map[string]any{"iss": "https://op.example"}), "", false},
		{"another issuer", sign(t, ours, rs256, map[string]any{"iss": "https://op.example/x"}), `"iss" is`, true},
		{"no issuer", sign(t, ours, rs256, map[string]any{}), `"iss" is`, true},
		{"none", b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(`{"iss":"https://op.example/"}`)) + ".", `signed with "none"`, true},
		{"unknown algorithm", b64([]byte(`{"alg":"XX1"}`)) + good[strings.Index(good, "."):], `signed with "XX1"`, true},
		{"opaque", "opaque", "not a JWT", true},
	} {
		p := at(serving(t, &requests, ours.jwk), testMetadata())
		invalid, err := p.VerifySignature(t.Context(), secret.FromString(c.token))
		wantText(t, cmp.Or(invalid, err), c.want)
		if (invalid != nil) != c.invalid {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	away := answering(t, http.StatusServiceUnavailable, "text/plain", "away")
	invalid, err := at(away, testMetadata()).VerifySignature(t.Context(), secret.FromString(good))
	if err == nil || invalid != nil {
		t.Errorf("no keys to be had: %v, %v", invalid, err)
	}
	issuer, err := UnverifiedIssuer(secret.FromString(good))
	if err != nil || issuer != "https://op.example/" {
		t.Errorf("%q, %v", issuer, err)
	}
	_, err = UnverifiedIssuer(secret.FromString(sign(t, ours, rs256, map[string]any{"iss": 1})))
	wantText(t, err, `"iss"`)
}
