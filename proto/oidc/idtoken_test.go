package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"oidc-agent/proto/secret"
)

// signer is a provider's key pair.
type signer struct {
	key crypto.Signer
	jwk map[string]any
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func newSigner(id string, key crypto.Signer) signer {
	jwk := map[string]any{"kid": id}
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			panic(err)
		}
		half := (len(point) - 1) / 2
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", k.Params().Name, b64(point[1:1+half]), b64(point[1+half:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", b64(k)
	}
	return signer{key, jwk}
}

// with returns the public key with some members changed, or removed if they are nil.
func (s signer) with(members map[string]any) map[string]any {
	jwk := maps.Clone(s.jwk)
	for name, value := range members {
		if jwk[name] = value; value == nil {
			delete(jwk, name)
		}
	}
	return jwk
}

// testSigners creates the keys once, because RSA keys take long.
var testSigners = sync.OnceValue(func() map[string]signer {
	signers := map[string]signer{}
	for _, name := range []string{"rsa", "rsa2", "rsa3"} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		signers[name] = newSigner(name, key)
	}
	for name, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		signers[name] = newSigner(name, key)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	signers["ed"] = newSigner("ed", key)
	return signers
})

var testHashes = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}

// sign returns a token, signed with the header's algorithm.
func sign(t testing.TB, s signer, header, claims map[string]any) string {
	t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := []byte(b64(h) + "." + b64(c))
	alg, _ := header["alg"].(string)
	var opts crypto.SignerOpts = crypto.Hash(0)
	input := signed
	if hash, ok := testHashes[strings.TrimLeft(alg, "RPES")]; ok {
		d := hash.New()
		d.Write(signed)
		input, opts = d.Sum(nil), hash
		if alg[0] == 'P' {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		}
	}
	signature, err := s.key.Sign(rand.Reader, input, opts)
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := s.key.Public().(*ecdsa.PublicKey); ok {
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(signature, &rs); err != nil {
			t.Fatal(err)
		}
		size := (k.Params().BitSize + 7) / 8
		signature = append(rs.R.FillBytes(make([]byte, size)), rs.S.FillBytes(make([]byte, size))...)
	}
	return string(signed) + "." + b64(signature)
}

// serving returns a client that gets these keys, and counts its requests.
func serving(t testing.TB, requests *int, keys ...map[string]any) *Client {
	return handled(t, func(w http.ResponseWriter, req *http.Request) {
		if *requests++; req.URL.String() != "https://op.example/jwk" {
			t.Errorf("asked %s", req.URL)
		}
		json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	})
}

// goodClaims returns claims that are valid now.
func goodClaims() map[string]any {
	now := time.Now().Unix()
	return map[string]any{"iss": "https://op.example/", "sub": "ann", "aud": "client", "exp": now + 300, "iat": now, "nonce": "n"}
}

var goodCheck = IDTokenCheck{Nonce: "n"}

// verified verifies an id_token of a provider on loopback, where no TLS replaces the check of the signature.
func verified(t testing.TB, c *Client, token string, want IDTokenCheck) (subject string, err error) {
	t.Helper()
	md := testMetadata()
	md.TokenEndpoint = "http://127.0.0.1/token"
	return at(c, md).VerifyIDToken(t.Context(), &TokenResponse{IDToken: secret.FromString(token)}, want)
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	for alg, name := range map[string]string{
		"RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "PS256": "rsa", "PS384": "rsa", "PS512": "rsa",
		"ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed",
	} {
		s, requests := testSigners()[name], 0
		client := serving(t, &requests, s.jwk)
		token := sign(t, s, map[string]any{"alg": alg, "kid": name}, goodClaims())
		if subject, err := verified(t, client, token, goodCheck); err != nil || subject != "ann" {
			t.Errorf("%s: %q, %v", alg, subject, err)
		}
		// The bad signature of the conformance suite: every byte xored with 0x5A.
		dot := strings.LastIndexByte(token, '.')
		raw, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			raw[i] ^= 0x5a
		}
		for _, bad := range []string{b64(raw), "", b64(raw[1:]), b64(make([]byte, len(raw))), token[dot+1:] + "AAAA"} {
			_, err := verified(t, client, token[:dot+1]+bad, goodCheck)
			wantText(t, err, "id_token: its signature is not valid")
		}
		if requests != 1 {
			t.Errorf("%s: %d requests for the keys, want 1", alg, requests)
		}
	}
	if len(algorithms) != 10 {
		t.Errorf("%v", algorithms)
	}
}

type idTokenCase struct {
	name, claim string
	value       any // nil: removed
	check       func(*IDTokenCheck)
	want        string
}

// idTokenCases returns cases that each change one claim of goodClaims.
func idTokenCases() []idTokenCase {
	now := time.Now().Unix()
	sum := sha256.Sum256([]byte("access-token"))
	return []idTokenCase{
		{"iss with a 1", "iss", "https://op.example/1", nil, `"iss" is "https://op.example/1"`},
		{"iss without slash", "iss", "https://op.example", nil, ""},
		{"iss with two slashes", "iss", "https://op.example//", nil, `"iss" is`},
		{"iss of another host", "iss", "https://op.example.org/", nil, `"iss" is`},
		{"iss by http", "iss", "http://op.example/", nil, `"iss" is`},
		{"no iss", "iss", nil, nil, `"iss" is missing`},
		{"no sub", "sub", nil, nil, `"sub" is missing`},
		{"empty sub", "sub", "", nil, `"sub" is missing`},
		{"sub a number", "sub", 7, nil, `"sub" is a number`},
		{"another sub", "sub", "ann1", func(w *IDTokenCheck) { w.Subject = "ann" }, `"sub" is "ann1", not "ann" as before`},
		{"the same sub", "sub", "ann", func(w *IDTokenCheck) { w.Subject = "ann" }, ""},
		{"aud with a 1", "aud", "client1", nil, `"aud" is "[client1]"`},
		{"no aud", "aud", nil, nil, `"aud" is missing`},
		{"aud an array of one", "aud", []string{"client"}, nil, ""},
		{"aud an empty array", "aud", []string{}, nil, `"aud" is "[]"`},
		{"aud with a stranger", "aud", []string{"client", "other"}, nil, `"aud" is "[client other]"`},
		{"aud a number", "aud", 1, nil, `"aud" is a number`},
		{"azp is us", "azp", "client", nil, ""},
		{"azp is another", "azp", "other", nil, `"azp" is "other"`},
		{"nonce with a 1", "nonce", "n1", nil, `"nonce" is not the one`},
		{"no nonce", "nonce", nil, nil, `"nonce" is not the one`},
		{"nonce that was not asked for", "nonce", "x", func(w *IDTokenCheck) { w.Nonce = "" }, ""},
		{"no exp", "exp", nil, nil, `"exp" is missing`},
		{"expired 6 minutes ago", "exp", now - 360, nil, "it expired at "},
		{"expired, at a refresh", "exp", now - 360, func(w *IDTokenCheck) { w.Refreshed = true }, ""},
		{"exp a string at a refresh", "exp", "x", func(w *IDTokenCheck) { w.Refreshed = true }, `"exp" is a string`},
		{"expired within the leeway", "exp", now - 30, nil, ""},
		{"exp fractional", "exp", float64(now) + 100.5, nil, ""},
		{"exp large", "exp", 1.5e99, nil, ""},
		{"exp a string", "exp", fmt.Sprint(now + 100), nil, `"exp" is a string, a number expected`},
		{"no iat", "iat", nil, nil, `"iat" is missing`},
		{"iat a week ago", "iat", now - 7*24*3600, nil, ""},
		{"iat ahead", "iat", now + 600, nil, "it was issued in the future"},
		{"iat ahead within the leeway", "iat", now + 30, nil, ""},
		{"nbf ahead", "nbf", now + 600, nil, "it is not valid before"},
		{"nbf a string", "nbf", "x", nil, `"nbf" is a string`},
		{"right at_hash", "at_hash", b64(sum[:16]), nil, ""},
		{"wrong at_hash", "at_hash", b64(sum[16:]), nil, `"at_hash" is not that of the access token`},
		{"at_hash a number", "at_hash", 1, nil, `"at_hash" is a number`},
	}
}

// Each wrong claim is rejected by its own check.
func TestIDTokenClaims(t *testing.T) {
	t.Parallel()
	s, requests := testSigners()["p256"], 0
	client := serving(t, &requests, s.jwk)
	for _, c := range idTokenCases() {
		t.Run(c.name, func(t *testing.T) {
			claims, check := goodClaims(), goodCheck
			if claims[c.claim] = c.value; c.value == nil {
				delete(claims, c.claim)
			}
			if c.check != nil {
				c.check(&check)
			}
			token := sign(t, s, map[string]any{"alg": "ES256", "kid": "p256"}, claims)
			answer := &TokenResponse{IDToken: secret.FromString(token), AccessToken: secret.FromString("access-token")}
			subject, err := at(client, testMetadata()).VerifyIDToken(t.Context(), answer, check)
			wantText(t, err, c.want)
			if (subject == "") != (err != nil) {
				t.Errorf("%q beside %v", subject, err)
			}
		})
	}
}

// Headers that no signature makes acceptable.
func TestIDTokenHeaders(t *testing.T) {
	t.Parallel()
	signers := testSigners()
	rsaKey, requests := signers["rsa"], 0
	client := serving(t, &requests, rsaKey.jwk, signers["p256"].jwk, signers["p384"].jwk)
	hs256 := func(key []byte) string {
		signed := encoded(`{"alg":"HS256"}`) + "." + strings.Split(sign(t, rsaKey, map[string]any{"alg": "RS256"}, goodClaims()), ".")[1]
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(signed))
		return signed + "." + b64(mac.Sum(nil))
	}
	n, _ := base64.RawURLEncoding.DecodeString(rsaKey.jwk["n"].(string))
	unsigned := func(alg string) string {
		token := sign(t, rsaKey, map[string]any{"alg": alg}, goodClaims())
		return token[:strings.LastIndexByte(token, '.')+1]
	}
	other := signers["rsa2"]
	for _, c := range []struct {
		name, token, want string
	}{
		{"HS256 with the client's secret", hs256([]byte("client-password")), `signed with "HS256", which is not accepted`},
		{"HS256 with the public key", hs256(n), `signed with "HS256", which is not accepted`},
		{"none", unsigned("none"), `signed with "none"`},
		{"None", unsigned("None"), `signed with "None"`},
		{"nOnE", unsigned("nOnE"), `signed with "nOnE"`},
		{"rs256", sign(t, rsaKey, map[string]any{"alg": "rs256"}, goodClaims()), `signed with "rs256"`},
		{"alg missing", sign(t, rsaKey, map[string]any{"kid": "rsa"}, goodClaims()), `signed with ""`},
		{"crit", sign(t, rsaKey, map[string]any{"alg": "RS256", "kid": "rsa", "crit": []string{"b64"}, "b64": true}, goodClaims()), "extension"},
		{"kid a number", sign(t, rsaKey, map[string]any{"alg": "RS256", "kid": 1}, goodClaims()), `"kid" is a number`},
		{"kid of an EC key", sign(t, rsaKey, map[string]any{"alg": "RS256", "kid": "p256"}, goodClaims()), "its signature is not valid"},
		{"ES256 with a key for ES384", sign(t, signers["p384"], map[string]any{"alg": "ES256", "kid": "p384"}, goodClaims()), "its signature is not valid"},
		{"key in the header", sign(t, other, map[string]any{"alg": "RS256", "jwk": other.jwk, "jku": "https://evil.example", "x5u": "https://evil.example"}, goodClaims()), "publishes no key"},
		{"key in the header, known kid", sign(t, other, map[string]any{"alg": "RS256", "kid": "rsa", "jwk": other.jwk}, goodClaims()), "its signature is not valid"},
		{"opaque", "opaque", "id_token: not a JWT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := verified(t, client, c.token, goodCheck)
			wantText(t, err, c.want)
		})
	}
}

// An id_token for several audiences is accepted only if azp says that it was issued to us.
func TestSeveralAudiences(t *testing.T) {
	t.Parallel()
	s, requests := testSigners()["p256"], 0
	client := serving(t, &requests, s.jwk)
	for azp, want := range map[string]string{"": `"aud" is`, "other": `"aud" is`, "client": ""} {
		claims := goodClaims()
		if claims["aud"] = []string{"other", "client"}; azp != "" {
			claims["azp"] = azp
		}
		token := sign(t, s, map[string]any{"alg": "ES256", "kid": "p256"}, claims)
		_, err := verified(t, client, token, goodCheck)
		wantText(t, err, want)
	}
}

// TLS replaces only a check of the signature that is impossible. It never replaces the checks of the claims.
func TestDirect(t *testing.T) {
	t.Parallel()
	known, stranger := testSigners()["p256"], testSigners()["p384"]
	es256 := map[string]any{"alg": "ES256", "kid": "p256"}
	good := sign(t, known, es256, goodClaims())
	bad := good[:len(good)-8] + "AAAAAAAA"
	foreign := goodClaims()
	foreign["aud"] = "other"
	for _, c := range []struct {
		name, token, jwks string
		plain             bool // by http
		want              string
	}{
		{"broken keys", good, `<html>`, false, ""},
		{"broken keys, http", good, `<html>`, true, "JSON expected"},
		{"broken keys, wrong aud", sign(t, known, es256, foreign), `<html>`, false, `"aud" is`},
		{"no jwks_uri", good, "", false, ""},
		{"no jwks_uri, http", good, "", true, "no jwks_uri"},
		{"shared secret", encoded(`{"alg":"HS256"}`) + good[strings.Index(good, "."):], `<html>`, false, `signed with "HS256"`},
		{"unknown algorithm", encoded(`{"alg":"XX1"}`) + good[strings.Index(good, "."):], `<html>`, false, `signed with "XX1"`},
		{"none", encoded(`{"alg":"none"}`) + good[strings.Index(good, "."):], `<html>`, false, `signed with "none"`},
		{"wrong signature", bad, "", false, ""}, // which cannot be checked
		{"wrong signature, keys", bad, "jwk", false, "its signature is not valid"},
		{"key that is not published", sign(t, stranger, map[string]any{"alg": "ES384"}, goodClaims()), "jwk", false, "publishes no key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			requests, md := 0, testMetadata()
			client := serving(t, &requests, known.jwk)
			if c.jwks != "jwk" {
				client = answering(t, 200, "application/json", c.jwks)
			}
			if c.plain {
				md.TokenEndpoint = "http://127.0.0.1/token"
			}
			if c.jwks == "" {
				md.JWKSURI = ""
			}
			_, err := at(client, md).VerifyIDToken(t.Context(), &TokenResponse{IDToken: secret.FromString(c.token)}, goodCheck)
			wantText(t, err, c.want)
		})
	}
}
