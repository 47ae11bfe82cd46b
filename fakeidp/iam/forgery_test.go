package iam

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"testing"
)

func TestForgery(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{RS256, ES256} {
		p := newIDP(t, Config{Control: true, Alg: alg})
		c := p.addClient(Client{})
		forge := func(forgery string) string {
			p.control("POST", "faults", `{"path":"token","times":1,"id_token":`+forgery+`}`).want(204, "", "")
			return c.login("openid").text("id_token")
		}
		header, claims := p.claims(forge(`{"claims":{"iss":"https://evil.example/","aud":["a","b"],"iat":null}}`)) // signed rightly
		if header["alg"] != alg || claims["iss"] != "https://evil.example/" || asText(claims["aud"]) != `["a","b"]` || claims["iat"] != nil || claims["sub"] == nil {
			t.Errorf("%v %v", header, claims)
		}
		token := forge(`{"header":{"alg":"none","kid":null},"signature":"none"}`)
		if header, _ := p.claims(token); header["kid"] != nil || !strings.HasSuffix(token, ".") {
			t.Errorf("%v %s", header, token)
		}
		token = forge(`{"header":{"alg":"HS256"},"hmac_key":"k"}`)
		input, sig := token[:strings.LastIndex(token, ".")], token[strings.LastIndex(token, ".")+1:]
		h := hmac.New(sha256.New, []byte("k"))
		h.Write([]byte(input))
		if sig != b64(h.Sum(nil)) {
			t.Errorf("signature %s", sig)
		}
		key, err := p.keys.newest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		token = forge(`{"signature":"bad"}`)
		input, sig = token[:strings.LastIndex(token, ".")], token[strings.LastIndex(token, ".")+1:]
		if good, err := key.sign(input); err != nil || len(b64(good)) != len(sig) || (alg == RS256 && b64(good) == sig) {
			t.Errorf("signature %s, error %v", sig, err)
		}
		p.control("POST", "faults", `{"id_token":{"signature":"odd"}}`).want(400, "bad_request", "odd")
	}
}
