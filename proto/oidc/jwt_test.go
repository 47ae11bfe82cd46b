package oidc

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
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
		{"padding", header + "." + encoded(`{"a":1}1`) + "==.AQID", "base64url without padding expected"},
		{"other base64", encoded(`{"a":"??>"}`) + "+." + claims + ".", "base64url"},
		{"line break", header + "." + claims[:8] + "\n" + claims[8:] + ".AQID", "base64url"},
		{"loose bits", header + "." + claims + ".AQJ", "base64url"},
		{"array", header + "." + encoded(`[]`) + ".", "JSON object expected"},
		{"no JSON", encoded(`alg`) + "." + claims + ".", "JSON object expected"},
		{"two objects", header + "." + encoded(`{}{}`) + ".", "JSON object expected"},
		{"claim twice", header + "." + encoded(`{"sub":"a","x":{"sub":"n"},"s\u0075b":"b"}`) + ".", `"sub" occurs twice`},
		{"header twice", encoded(`{"alg":"none","alg":"RS256"}`) + "." + claims + ".", `"alg" occurs twice`},
		{"nested names", header + "." + encoded(`{"a":{"b":1},"c":{"b":1}}`) + ".", ""},
		{"10 MiB", header + "." + strings.Repeat("A", 10<<20) + ".", "three parts expected"},
	} {
		_, err := decodeJWT(secret.FromString(c.token))
		wantText(t, err, c.want)
		if err != nil && strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%q shows the token", err)
		}
	}
}

// A token that is accepted is exactly the encoding of its parts: no other text means the same.
func FuzzDecodeJWT(f *testing.F) {
	f.Add([]byte(testRefreshToken))
	f.Add([]byte(rfc7515Token))
	f.Add([]byte(encoded(`{"alg":"RS256"}`) + "." + encoded(`{"a":1,"a":{"b":null}}`) + ".AQID"))
	f.Fuzz(func(t *testing.T, token []byte) {
		j, err := decodeJWT(secret.New(token))
		if err != nil {
			return
		}
		if again := string(j.signed) + "." + base64.RawURLEncoding.EncodeToString(j.signature); again != string(token) {
			t.Errorf("%q became %q", token, again)
		}
		for i, o := range []*object{j.header, j.claims} {
			part, err := base64.RawURLEncoding.DecodeString(strings.Split(string(token), ".")[i])
			var members map[string]any
			if err != nil || json.Unmarshal(part, &members) != nil || len(members) != len(o.members) {
				t.Errorf("%q became %v", part, o.members)
			}
		}
	})
}
