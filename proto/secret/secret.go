// Package secret holds the type of everything that must not print: passwords, refresh tokens, client
// secrets, derived keys. It is a leaf that every room may enter; it imports nothing, so that oidc-token,
// whose start-up is the product, can enter it too.
package secret

import "errors"

// Secret is a sequence of bytes that no formatting verb, JSON encoder or logger shows. The bytes stand
// behind two pointers: fmt does not call methods on unexported fields, prints bytes that a struct around
// the Secret holds directly, and follows one pointer for a verb that does not fit (%s), never a second.
// The zero value is the empty secret.
type Secret struct{ p **[]byte }

// New takes ownership of b: the caller must not use it again.
func New(b []byte) Secret {
	if len(b) == 0 {
		return Secret{}
	}
	p := &b
	return Secret{p: &p}
}

// FromString copies s. The string itself cannot be wiped, so prefer New for bytes that came from outside.
func FromString(s string) Secret { return New([]byte(s)) }

// Reveal returns the bytes themselves, not a copy: they are gone after Wipe, and must not be changed.
func (s Secret) Reveal() []byte {
	if s.p == nil {
		return nil
	}
	return **s.p
}

// Len returns the number of bytes.
func (s Secret) Len() int { return len(s.Reveal()) }

// IsEmpty reports whether there is nothing to hide.
func (s Secret) IsEmpty() bool { return s.Len() == 0 }

// Equal compares the contents of two secrets. It is not constant in time: use it where both are ours.
func (s Secret) Equal(t Secret) bool { return string(s.Reveal()) == string(t.Reveal()) }

// Clone returns a copy that is wiped on its own.
func (s Secret) Clone() Secret { return New(append([]byte(nil), s.Reveal()...)) }

// Wipe overwrites the bytes; every copy of this Secret is empty afterwards.
func (s Secret) Wipe() {
	if s.p != nil {
		clear(**s.p)
		**s.p = nil
	}
}

// String says only that there is a secret.
func (s Secret) String() string { return "[secret]" }

// MarshalText refuses, so that no encoder, encoding/json too, writes a secret by accident.
func (s Secret) MarshalText() ([]byte, error) {
	return nil, errors.New("a secret cannot be marshalled: call Reveal where it is meant")
}

// Grow returns b with room for n more bytes. Where they must move, nothing of them stays behind, as it would with append.
func Grow(b []byte, n int) []byte {
	if len(b)+n <= cap(b) {
		return b
	}
	bigger := append(make([]byte, 0, 2*cap(b)+n), b...)
	clear(b)
	return bigger
}
