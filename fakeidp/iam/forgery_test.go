package iam

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
		header, claims := p.claims(forge(`{"claims":{"iss":"https://evil.example/","aud":["a","b"],"iat":null}}`)) // with a valid signature
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
		key := p.keys.newest()
		token = forge(`{"signature":"bad"}`)
		input, sig = token[:strings.LastIndex(token, ".")], token[strings.LastIndex(token, ".")+1:]
		if good := b64(key.sign(input)); len(good) != len(sig) || (alg == RS256 && good == sig) {
			t.Errorf("signature %s", sig)
		}
		p.control("POST", "faults", `{"id_token":{"signature":"odd"}}`).want(400, "bad_request", "odd")
	}
}

// TestForgedTokens: the effect of switches on an ID token, as header, claims and signature in hex.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Alg: ES256, Now: fixedClock})
	c := p.addClient(Client{})
	now := at.Unix()
	for name, x := range map[string]struct {
		part int
		want string
	}{
		"kid-unknown":       {0, `"kid":"never"`},
		"rotate-at-signing": {0, `"kid":"ec2"`},
		"claim-twice":       {1, `{"sub":"first","at_hash":`},
		"expired-exp":       {1, fmt.Sprintf(`"exp":%d,`, now-360)},
		"iat-ahead":         {1, fmt.Sprintf(`"iat":%d,`, now+120)},
		"exp-scientific":    {1, `"exp":41e8,`},
		"missing-iss":       {1, fmt.Sprintf(`"iat":%d,"jti":`, now)},
		"sig-none":          {2, ""},
		"sig-zero":          {2, strings.Repeat("00", 64)},
		"sig-der":           {2, "30"},
		"sig-short":         {2, ""},
	} {
		p.ClearFaults()
		if err := p.Switch(name); err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(c.login("openid").text("id_token"), ".")
		text, err := base64.RawURLEncoding.DecodeString(parts[x.part])
		if err != nil {
			t.Fatal(err)
		}
		if x.part == 2 {
			text = hex.AppendEncode(nil, text)
		}
		if !strings.Contains(string(text), x.want) {
			t.Errorf("%s: %s", name, text)
		}
		switch input, signature := parts[0]+"."+parts[1], parts[2]; name {
		case "sig-short":
			if len(text) != 2*63 {
				t.Errorf("%s: %s", name, text)
			}
		case "sig-der":
			key := p.keys.newest()
			der, err := base64.RawURLEncoding.DecodeString(signature)
			digest := sha256.Sum256([]byte(input))
			if err != nil || !ecdsa.VerifyASN1(key.signer.Public().(*ecdsa.PublicKey), digest[:], der) {
				t.Errorf("%s: %v %x", name, err, der)
			}
		}
	}
	for name, want := range map[string]string{"jwt-padding": "=", "jwt-5-parts": ".e30.e30"} {
		p.ClearFaults()
		if err := p.Switch(name); err != nil {
			t.Fatal(err)
		}
		if token := c.login("openid").text("id_token"); !strings.HasSuffix(token, want) {
			t.Errorf("%s: %s", name, token)
		}
	}
}

// TestForeignKey: the signature is valid, but with the key in the header.
func TestForeignKey(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c := p.addClient(Client{})
	if err := p.Switch("header-jwk"); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(c.login("openid").text("id_token"), ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[0])
	var header struct {
		Alg string
		JWK map[string]string
	}
	if err2 := json.Unmarshal(text, &header); err != nil || err2 != nil || header.Alg != ES256 {
		t.Fatal(err, err2, string(text))
	}
	verify(t, header.JWK, parts[0]+"."+parts[1], parts[2])
}

// TestSwitchedAnswers: the effect of switches on other answers, and on the query of a redirect.
func TestSwitchedAnswers(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Settings: Settings{AutoApprove: true}})
	c := p.addClient(Client{RedirectURIs: []string{"http://localhost:1/"}})
	authorize := "authorize?" + values("response_type", "code", "client_id", c.id, "scope", "openid").Encode()
	for name, x := range map[string]struct{ path, want string }{
		"disc-slash":           {".well-known/openid-configuration", `"issuer":"https://iam.example",`},
		"callback-iss-escaped": {authorize, "iss=https%3A%252F%2Fiam.example%2F"},
		"callback-iss-case":    {authorize, "iss=HTTPS%3A%2F%2FIAM.EXAMPLE%2F"},
		"keys-odd":             {"jwk", `{"crv":"secp256k1","kid":"decoy7",`},
		"keys-enc":             {"jwk", `"use":"enc"`},
		"kid-absent":           {"jwk", `{"crv":"Ed25519","kty":"OKP",`},
		"kids-absent":          {"jwk", `{"e":"AQAB","kty":"RSA","n":"`},
		"keys-alg":             {"jwk", `"alg":"ES384"`},
	} {
		p.ClearFaults()
		if err := p.Switch(name); err != nil {
			t.Fatal(err)
		}
		r := p.request("GET", x.path, "")
		if answer := r.Body + r.Header.Get("Location"); !strings.Contains(answer, x.want) {
			t.Errorf("%s: %s", name, answer)
		}
		if absent := strings.HasSuffix(name, "-absent"); absent == strings.Contains(r.Body, `"kid"`) && x.path == "jwk" {
			t.Errorf("%s: kid: %s", name, r.Body)
		}
	}
	p.ClearFaults()
	p.Change(func(s *Settings) { s.AutoApprove = false })
	if err := p.Switch("tok-extra"); err != nil {
		t.Fatal(err)
	}
	if n := len(c.login("openid").text("access_token")); n != 16<<10 {
		t.Errorf("an access token of %d bytes", n)
	}
}
