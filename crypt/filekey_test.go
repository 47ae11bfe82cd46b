package crypt

import (
	"errors"
	"testing"

	"oidc-agent/proto/secret"
)

func TestParseFileKey(t *testing.T) {
	t.Parallel()
	key, err := NewKey(secret.FromString("p"), FormatScrypt)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []FileKey{key, GPGKey("0123456789ABCDEF")} {
		text := k.Marshal()
		parsed, err := ParseFileKey(text.Reveal())
		if err != nil || !parsed.Marshal().Equal(text) {
			t.Errorf("%T: %v", k, err)
		}
	}
	for _, text := range []string{"", "gpg:", "gpg:--output=x", "scrypt:", "nonsense"} {
		if k, err := ParseFileKey([]byte(text)); err == nil {
			t.Errorf("%q is a %T", text, k)
		}
	}
	file, err := key.Encrypt([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := GPGKey("0123456789ABCDEF").Decrypt(file); !errors.Is(err, ErrOtherKey) {
		t.Errorf("a file under a password: %v, want ErrOtherKey", err)
	}
}
