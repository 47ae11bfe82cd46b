package crypt

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"oidc-agent/proto/secret"
)

// The worked example of the C tools: the result of a known password, salt and nonce in each of their formats.
const (
	examplePassword  = "correct horse"
	exampleSalt      = "000102030405060708090a0b0c0d0e0f"
	exampleNonce     = "202122232425262728292a2b2c2d2e2f3031323334353637"
	examplePlaintext = `{"name":"demo","issuer_url":"http://127.0.0.1:9111/"}`

	exampleC = `69
ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3
AAECAwQFBgcICQoLDA0ODw==
24:16:16:32:1:2:67108864:2
aZGnD15KkkxOb+bK+vHOZa3ofhEHVFEhObMM+jFe/xpxOhSPPM/MfMncFyKMSCiKaRhezspDnsdznLCXYM9ls0/+k7PG
GUR7cJ2ZFoqnGH9wpG75ZaV2phh55a8RVS7pTkdTFKY=
Generated using version: 5.3.3`

	exampleHexArgon2i  = "69:000102030405060708090a0b0c0d0e0f:202122232425262728292a2b2c2d2e2f3031323334353637:d0e19f5f5a21658a1737c0ac71dd2f469c582b9a85bd5d83a9ae8b082429c018c8fc86ab7ff3af0fcf56640da77fb23ec8c7e778c0d30c6e25aca61634e38513eb03c552c2"
	exampleHexArgon2id = "69:000102030405060708090a0b0c0d0e0f:202122232425262728292a2b2c2d2e2f3031323334353637:3fccae0f7843ef5f1d6efb0c9043471937882dd26dbc6ddb85bdbc5f09c5c46bb9d82c1640d2db1567018ed904b658c0a79df305fd9caa13accee60ad7e5ad957a7466ffe2"
)

// exampleKey derives the key of exampleC once for all tests.
var exampleKey = sync.OnceValues(func() (*Key, error) {
	salt, err := hex.DecodeString(exampleSalt)
	if err != nil {
		return nil, err
	}
	return recipe{FormatC, codecs[FormatC].costs, string(salt)}.derive(secret.FromString(examplePassword))
})

// cheap has the smallest costs that scrypt allows, to keep tests fast.
var cheap = recipe{FormatScrypt, costs{2, 1, 1}, "0123456789abcdef"}

func cheapKey(t testing.TB, password string) *Key {
	t.Helper()
	return mustDerive(t, cheap, password)
}

func mustDerive(t testing.TB, r recipe, password string) *Key {
	t.Helper()
	k, err := r.derive(secret.FromString(password))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// tryOpen opens a file and returns the class of the error.
func tryOpen(file, password string) string {
	_, _, err := Open([]byte(file), secret.FromString(password))
	return class(err)
}

func mustExampleKey(t testing.TB) *Key {
	t.Helper()
	k, err := exampleKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustEncrypt(t testing.TB, k *Key, plaintext string) string {
	t.Helper()
	file, err := k.Encrypt(t.Context(), []byte(plaintext))
	if err != nil {
		t.Fatal(err)
	}
	return string(file)
}

func mustRead(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// class names an error for tables.
func class(err error) string {
	switch {
	case err == nil:
		return "opens"
	case errors.Is(err, ErrDamaged):
		return "damaged"
	case errors.Is(err, ErrWrongPassword):
		return "wrong password"
	case errors.Is(err, ErrTooCostly):
		return "too costly"
	case errors.Is(err, ErrOtherKey):
		return "other key"
	case errors.Is(err, ErrFormat):
		return "unknown"
	}
	return err.Error()
}
