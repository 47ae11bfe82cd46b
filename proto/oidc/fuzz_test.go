package oidc

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"oidc-agent/proto/secret"
)

// addRecorded adds recorded messages: what providers sent to the C agents, which passed it on in the member key.
func addRecorded(f *testing.F, name, key string) {
	paths, err := filepath.Glob("../interop/testdata/ipc/*/" + name)
	if err != nil || len(paths) == 0 {
		f.Fatalf("no recorded %s: %v", name, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		_, answer, _ := strings.Cut(string(data), "\n< ")
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(answer), &members); err != nil || members[key] == nil {
			f.Fatalf("%s: %v", path, err)
		}
		f.Add([]byte(members[key]))
	}
}

func FuzzRegistrationResponse(f *testing.F) {
	addRecorded(f, "50-register.txt", "client")
	f.Add([]byte(`{"client_id":"x","client_secret_expires_at":1e400,"redirect_uris":[null]}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"error":"invalid_redirect_uri","error_description":"no"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p := at(answering(t, 201, "application/json", string(body)), testMetadata())
		got, err := p.Register(t.Context(), Registration{}, secret.FromString("initial-token"))
		if err != nil {
			checkErrorText(t, err, "initial-token")
			return
		}
		var plain map[string]any
		numbers := json.NewDecoder(bytes.NewReader(body))
		numbers.UseNumber() // JSON allows numbers that no float can represent
		if numbers.Decode(&plain) != nil || string(got) != string(body) {
			t.Errorf("%q became %q", body, got)
		}
		if id, ok := plain["client_id"].(string); !ok || id == "" {
			t.Errorf("a client without a name: %q", body)
		}
	})
}

func FuzzDeviceResponse(f *testing.F) {
	addRecorded(f, "54-gen-device.txt", "oidc_device")
	f.Add([]byte(`{"device_code":"d","user_code":"u","verification_url":"https://a.example/d","expires_in":"1","interval":0}`))
	f.Add([]byte(`{"device_code":"d","user_code":"u","verification_uri":"https://a.example/d"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := at(answering(t, 200, "application/json", string(body)), testMetadata()).AuthorizeDevice(t.Context(), "openid")
		if err != nil {
			checkErrorText(t, err, "client-password")
			return
		}
		if d.DeviceCode.IsEmpty() || d.ExpiresIn < 1 || d.ExpiresIn > maxSeconds || d.Interval < 1 || d.Interval > maxSeconds {
			t.Errorf("%q became %+v", body, d)
		}
		for _, uri := range []string{d.VerificationURI, d.VerificationURIComplete} {
			if u, err := url.Parse(uri); uri != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
				t.Errorf("a browser would be sent to %q", uri)
			}
		}
		if strings.ContainsFunc(d.UserCode, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("user code %q", d.UserCode)
		}
	})
}

// checkErrorText checks that an error is one line that shows no secret.
func checkErrorText(t *testing.T, err error, secret string) {
	t.Helper()
	text := err.Error()
	if strings.Contains(text, secret) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("error %q", text)
	}
}

// FuzzVerifyIDToken checks that, whatever the provider publishes and sends, only the token that the key has signed is
// accepted.
func FuzzVerifyIDToken(f *testing.F) {
	s := newSigner("ed", ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	claims := map[string]any{"iss": "https://op.example/", "sub": "ann", "aud": "client", "exp": 4102444800, "iat": 1700000000}
	good := sign(f, s, map[string]any{"alg": "EdDSA", "kid": "ed"}, claims)
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]any{"kty": "EC"}, s.jwk}})
	if err != nil {
		f.Fatal(err)
	}
	_, afterHeader, _ := strings.Cut(good, ".")
	f.Add(set, []byte(good))
	f.Add(set, []byte(good[:len(good)-20]+strings.Repeat("A", 20)))
	f.Add(set, []byte(encoded(`{"alg":"none"}`)+"."+afterHeader))
	f.Add(set, []byte(encoded(`{"alg":"EdDSA","crit":["x"]}`)+"."+afterHeader))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"OKP","crv":"Ed25519","x":"`+strings.Repeat("A", 43)+`"}]}`), []byte(rfc7515Token))
	x := s.jwk["x"].(string)
	f.Fuzz(func(t *testing.T, keys, token []byte) {
		id, err := verified(t, answering(t, 200, "application/json", string(keys)), string(token), IDTokenCheck{})
		if err != nil {
			checkErrorText(t, err, afterHeader)
			return
		}
		var published any
		if err := json.Unmarshal(keys, &published); err != nil {
			t.Errorf("keys %q: %v", keys, err)
		}
		plain, err := json.Marshal(published) // without escapes
		if err != nil || !strings.Contains(string(plain), x) || string(token) != good || id != "ann" {
			t.Errorf("with the keys %q, %q is good: %q", keys, token, id)
		}
	})
}

// FuzzAuthorizationResponse checks that neither a code nor an error counts without our state and the right issuer.
func FuzzAuthorizationResponse(f *testing.F) {
	f.Add("code=abc&state=s")
	f.Add("code=abc&state=t")
	f.Add("code=abc&state=s&iss=https%3A%2F%2Fop.example%2F")
	f.Add("error=access_denied&error_description=%1b%5b2J&state=s")
	f.Add("state=s&state=t&code=%zz;")
	f.Fuzz(func(t *testing.T, query string) {
		md := testMetadata()
		code, err := md.ParseAuthorizationResponse(query, "s")
		refused := new(Error)
		if err != nil {
			checkErrorText(t, err, "\n")
		}
		if err != nil && !errors.As(err, &refused) {
			return
		}
		values, parseErr := url.ParseQuery(query)
		iss, hasIss := values["iss"]
		if parseErr != nil || values.Get("state") != "s" || hasIss && iss[0] != md.Issuer {
			t.Errorf("%q is believed: %v", query, err)
		}
		if err == nil && (code.IsEmpty() || revealed(code) != values.Get("code") || values.Has("error") && values.Get("error") != "") {
			t.Errorf("%q: code %q", query, code.Reveal())
		}
	})
}
