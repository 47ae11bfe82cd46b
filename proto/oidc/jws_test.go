package oidc

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

// RFC 7515 appendix A.3: an ES256 token with its key.
const (
	rfc7515Token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ." +
		"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	rfc7515Key = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
)

func mustKey(t testing.TB, jwk string) verificationKey {
	t.Helper()
	key, ok := parseKey(json.RawMessage(jwk))
	if !ok {
		t.Fatalf("no key: %s", jwk)
	}
	return key
}

func TestES256Vector(t *testing.T) {
	t.Parallel()
	j, err := decodeJWT(secret.FromString(rfc7515Token))
	if err != nil {
		t.Fatal(err)
	}
	key := mustKey(t, rfc7515Key).key
	if !algorithms[6].verifies(j, key) {
		t.Error("the signature of RFC 7515 appendix A.3 is refused")
	}
	for i := range j.signature {
		j.signature[i] ^= 1
		if algorithms[6].verifies(j, key) {
			t.Errorf("byte %d does not matter", i)
		}
		j.signature[i] ^= 1
	}
}

// RFC 8037 appendix A.4.
func TestEd25519Vector(t *testing.T) {
	t.Parallel()
	const signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
	const signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	key := mustKey(t, `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`).key
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	good, bad := &jwt{signed: []byte(signed), signature: raw}, &jwt{signed: []byte(signed + "x"), signature: raw}
	if a := algorithms[9]; !a.verifies(good, key) || a.verifies(bad, key) {
		t.Error("the signature of RFC 8037 appendix A.4 is refused, or any is taken")
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	rsa := func(bits int, e string) string {
		n := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(bits)), big.NewInt(1))
		return `{"kty":"RSA","e":"` + e + `","n":"` + base64.RawURLEncoding.EncodeToString(n.Bytes()) + `"}`
	}
	with := func(member string) string { return strings.Replace(rfc7515Key, "{", "{"+member+",", 1) }
	for _, c := range []struct {
		name, jwk string
		want      bool
	}{
		{"EC", rfc7515Key, true},
		{"RSA 2048", rsa(2048, "AQAB"), true},
		{"RSA 1024", rsa(1024, "AQAB"), false},
		{"RSA 2047", rsa(2047, "AQAB"), false},
		{"RSA 16384", rsa(16384, "AQAB"), false},
		{"exponent 1", rsa(2048, "AQ"), false},
		{"exponent of 40 bits", rsa(2048, "AQAAAAE"), false},
		{"no exponent", `{"kty":"RSA","n":"AQAB"}`, false},
		{"for signatures", with(`"use":"sig","key_ops":["verify"],"alg":"ES256"`), true},
		{"for encryption", with(`"use":"enc"`), false},
		{"ops of encryption", with(`"key_ops":["encrypt"]`), false},
		{"ops of a wrong type", with(`"key_ops":"verify"`), false},
		{"kid a number", with(`"kid":1`), false},
		{"not on the curve", strings.Replace(rfc7515Key, "f83O", "f83P", 1), false},
		{"coordinate too short", strings.Replace(rfc7515Key, `"x":"f83O`, `"x":"`, 1), false},
		{"coordinates of another curve", strings.Replace(rfc7515Key, "P-256", "P-384", 1), false},
		{"secp256k1", strings.Replace(rfc7515Key, "P-256", "secp256k1", 1), false},
		{"X25519", `{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, false},
		{"symmetric", `{"kty":"oct","k":"AQAB"}`, false},
		{"ML-DSA", `{"kty":"AKP","alg":"ML-DSA-unheard-of","pub":"AQAB"}`, false},
		{"invented", `{"kty":"XYZ"}`, false},
		{"null", `null`, false},
		{"number", `1`, false},
	} {
		if _, ok := parseKey(json.RawMessage(c.jwk)); ok != c.want {
			t.Errorf("%s: %t, want %t", c.name, ok, c.want)
		}
	}
}
