package oidc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

func encoded(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestDecodeJWT(t *testing.T) {
	t.Parallel()
	header, claims := encoded(`{"alg":"RS256","kid":"rsa1"}`), encoded(`{"iss":"https://iam.example/","wlcg.ver":"1.0","aud":["a","b"]}`)
	for _, c := range []struct{ name, token, want string }{
		{"access token", header + "." + claims + ".AQID", ""},
		{"IAM's refresh token", testRefreshToken, ""},
		{"opaque", "0123456789abcdef", "three parts expected"},
		{"empty", "", "three parts expected"},
		{"two parts", header + "." + claims, "three parts expected"},
		{"four parts", header + "." + claims + ".AQID.", "three parts expected"},
		{"encrypted", header + "." + claims + ".a.b.c", "three parts expected"},
		{"padding", header + "." + encoded(`{"a":1}1`) + "==.AQID", "claims: base64url without padding expected"},
		{"other base64", encoded(`{"a":"??>"}`) + "+." + claims + ".", "header: base64url"},
		{"line break", header + "." + claims[:8] + "\n" + claims[8:] + ".AQID", "claims: base64url"},
		{"loose bits", header + "." + claims + ".AQJ", "signature: base64url"},
		{"array", header + "." + encoded(`[]`) + ".", "claims: JSON object expected"},
		{"no JSON", encoded(`alg`) + "." + claims + ".", "header: JSON object expected"},
		{"two objects", header + "." + encoded(`{}{}`) + ".", "claims: JSON object expected"},
		{"claim twice", header + "." + encoded(`{"sub":"a","x":{"sub":"n"},"s\u0075b":"b"}`) + ".", `claims: "sub" stands there twice`},
		{"header twice", encoded(`{"alg":"none","alg":"RS256"}`) + "." + claims + ".", `header: "alg" stands there twice`},
		{"nested names", header + "." + encoded(`{"a":{"b":1},"c":{"b":1}}`) + ".", ""},
		{"10 MiB", header + "." + strings.Repeat("A", 10<<20) + ".", "three parts expected"},
	} {
		j, err := DecodeJWT([]byte(c.token))
		wantText(t, err, c.want)
		if c.name == "access token" && (string(j.Header) != `{"alg":"RS256","kid":"rsa1"}` || !bytes.Contains(j.Claims, []byte(`"wlcg.ver":"1.0"`))) {
			t.Errorf("%s, %s", j.Header, j.Claims)
		}
		if err != nil && strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%q shows the token", err)
		}
	}
}

// What was decoded makes the same token again.
func FuzzDecodeJWT(f *testing.F) {
	f.Add([]byte(testRefreshToken))
	f.Add([]byte(rfc7515Token))
	f.Add([]byte(encoded(`{"alg":"RS256"}`) + "." + encoded(`{"a":1,"a":{"b":null}}`) + ".AQID"))
	f.Fuzz(func(t *testing.T, token []byte) {
		j, err := DecodeJWT(token)
		if err != nil {
			return
		}
		e := base64.RawURLEncoding.EncodeToString
		if again := e(j.Header) + "." + e(j.Claims) + "." + e(j.signature); again != string(token) {
			t.Errorf("%q became %q", token, again)
		}
		if !json.Valid(j.Header) || !json.Valid(j.Claims) || !bytes.HasPrefix(token, j.signed) {
			t.Errorf("%+v", j)
		}
	})
}
