package oidc

import (
	"errors"
	"net/http"
	"testing"

	"oidc-agent/proto/secret"
)

// A token of any kind is its issuer's, or not, or nobody can tell.
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
		{"another issuer", sign(t, ours, rs256, map[string]any{"iss": "https://op.example"}), `"iss" is`, true},
		{"no issuer", sign(t, ours, rs256, map[string]any{}), `"iss" is`, true},
		{"none", b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(`{"iss":"https://op.example/"}`)) + ".", `signed by "none"`, true},
		{"opaque", "opaque", "not a JWT", false},
	} {
		err := serving(t, &requests, ours.jwk).VerifySignature(t.Context(), testMetadata(), secret.FromString(c.token))
		wantText(t, err, c.want)
		if got := new(InvalidSignatureError); errors.As(err, &got) != c.invalid {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	away := answering(t, http.StatusServiceUnavailable, "text/plain", "away")
	err := away.VerifySignature(t.Context(), testMetadata(), secret.FromString(good))
	if got := new(InvalidSignatureError); err == nil || errors.As(err, &got) {
		t.Errorf("no keys to be had: %v", err)
	}
	issuer, err := UnverifiedIssuer(secret.FromString(good))
	if err != nil || issuer != "https://op.example/" {
		t.Errorf("%q, %v", issuer, err)
	}
	_, err = UnverifiedIssuer(secret.FromString(sign(t, ours, rs256, map[string]any{"iss": 1})))
	wantText(t, err, `"iss"`)
}
