package oidc

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Key sets of all kinds, for an RS256 token that the key "rsa" signed.
func TestKeySets(t *testing.T) {
	t.Parallel()
	k := testSigners()
	nameless := map[string]any{"kid": nil}
	withKid, without := map[string]any{"alg": "RS256", "kid": "rsa"}, map[string]any{"alg": "RS256"}
	strange := []map[string]any{
		{"kty": "AKP", "kid": "rsa", "alg": "ML-DSA-unheard-of", "pub": "AQAB"}, {"kty": "XYZ"},
		{"kty": "EC", "crv": "secp256k1", "kid": "k1", "x": "AQAB", "y": "AQAB"}, {"kty": "RSA", "n": "%%", "e": 3},
	}
	for _, c := range []struct {
		name   string
		header map[string]any
		keys   []map[string]any
		want   string
	}{
		{"beside others", withKid, []map[string]any{k["rsa2"].jwk, k["p256"].jwk, k["rsa"].jwk, k["ed"].jwk}, ""},
		{"beside strange ones", withKid, append(strange, k["rsa"].jwk), ""},
		{"kid absent, one fits", without, []map[string]any{k["p256"].jwk, k["ed"].jwk, k["rsa2"].with(map[string]any{"use": "enc", "kid": nil}), k["rsa"].with(nameless)}, ""},
		{"kid absent, three fit", without, []map[string]any{k["rsa2"].with(nameless), k["rsa3"].with(nameless), k["rsa"].with(nameless)}, ""},
		{"kid in the token only", withKid, []map[string]any{k["rsa"].with(nameless)}, ""},
		{"key of another alg", withKid, []map[string]any{k["rsa"].with(map[string]any{"alg": "RS512"})}, "publishes no key"},
		{"only for encryption", withKid, []map[string]any{k["rsa"].with(map[string]any{"use": "enc"})}, "publishes no key"},
		{"others only", without, []map[string]any{k["rsa2"].jwk, k["rsa3"].jwk}, "publishes no key"},
		{"none", withKid, []map[string]any{}, "publishes no key"},
		{"too many", without, append(slices.Repeat([]map[string]any{k["rsa2"].with(nameless)}, maxKeys), k["rsa"].jwk), "publishes no key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			requests := 0
			client := serving(t, &requests, c.keys...)
			token := sign(t, k["rsa"], c.header, goodClaims())
			_, err := verified(t, client, token, goodCheck)
			wantText(t, err, c.want)
		})
	}
}

func TestKeySetAnswers(t *testing.T) {
	t.Parallel()
	token := sign(t, testSigners()["p256"], map[string]any{"alg": "ES256"}, goodClaims())
	for body, want := range map[string]string{
		`<html>`:         `keys at "https://op.example/jwk": provider answered with HTTP status 200 (application/json), JSON expected`,
		`{}`:             `"keys" is missing`,
		`{"keys":{}}`:    `"keys" is an object, an array expected`,
		`{"keys":[1,0]}`: "publishes no key",
	} {
		_, err := verified(t, answering(t, 200, "application/json", body), token, goodCheck)
		wantText(t, err, want)
	}
}

// New keys are fetched when a token needs them, but bad tokens cannot flood the provider.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	signers := testSigners()
	synctest.Test(t, func(t *testing.T) {
		keys, requests, down := []map[string]any{signers["rsa"].jwk}, 0, false
		client := handled(t, func(w http.ResponseWriter, req *http.Request) {
			if requests++; down {
				w.WriteHeader(503)
			}
			json.NewEncoder(w).Encode(map[string]any{"keys": keys})
		})
		verify := func(name, alg, want string, wantRequests int) {
			t.Helper()
			before := requests
			token := sign(t, signers[name], map[string]any{"alg": alg, "kid": name}, goodClaims())
			_, err := verified(t, client, token, goodCheck)
			wantText(t, err, want)
			if _, again := Temporary(err); again {
				t.Error("the refresh would be made again because of the keys")
			}
			if requests-before != wantRequests {
				t.Errorf("%s: %d requests, want %d", name, requests-before, wantRequests)
			}
		}
		verify("rsa", "RS256", "", 1)
		verify("rsa", "RS256", "", 0)
		keys = []map[string]any{signers["rsa2"].jwk} // immediately after the first fetch
		verify("rsa2", "RS256", "", 1)
		verify("p256", "ES256", "publishes no key", 1) // a kid that never appears
		verify("p256", "ES256", "publishes no key", 0)
		time.Sleep(missPause + time.Second)
		verify("p256", "ES256", "publishes no key", 1)
		verify("p256", "ES256", "publishes no key", 0)
		verify("rsa2", "RS256", "", 0)
		time.Sleep(missPause + time.Second)
		down = true
		verify("p256", "ES256", "HTTP status 503", 1)
		verify("p256", "ES256", "HTTP status 503", 0) // nobody waits again at once
		verify("rsa2", "RS256", "", 0)                // a known key stays good
		time.Sleep(keysLifetime)
		verify("rsa2", "RS256", "", 1) // even after its time
		verify("rsa2", "RS256", "", 0)
		down = false
		time.Sleep(failPause + time.Second)
		verify("rsa2", "RS256", "", 1)
		verify("rsa2", "RS256", "", 0)
		verify("rsa", "RS256", "publishes no key", 1) // a key that was withdrawn
	})
}
