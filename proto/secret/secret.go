// Package secret holds the type of everything that must not be printed: passwords, refresh tokens, client secrets,
// derived keys. Every room may import it. It depends on almost nothing, so that it costs oidc-token no start-up time.
package secret

import "errors"

// Secret is a sequence of bytes that no formatting verb, JSON encoder or logger shows. The zero value is the empty
// secret. Copies of a Secret share its bytes; see [Secret.Clone].
//
// The bytes are behind two pointers because of fmt. It does not call the methods of unexported fields, so it would
// print bytes that a struct holds directly, and for some verbs (%s) it follows one pointer, but never a second one.
type Secret struct{ p **[]byte }

// New returns a Secret that owns b: the caller must not use b again.
func New(b []byte) Secret {
	if len(b) == 0 {
		return Secret{}
	}
	p := &b
	return Secret{p: &p}
}

// FromString copies s. The string itself cannot be wiped, so use New for secrets that come from outside.
func FromString(s string) Secret { return New([]byte(s)) }

// Reveal returns the bytes themselves, not a copy. The caller must not change them; Wipe overwrites them.
func (s Secret) Reveal() []byte {
	if s.p == nil {
		return nil
	}
	return **s.p
}

// Len returns the number of bytes.
func (s Secret) Len() int { return len(s.Reveal()) }

// IsEmpty reports whether the secret has no bytes.
func (s Secret) IsEmpty() bool { return s.Len() == 0 }

// Equal reports whether s and t have the same bytes, not in constant time: neither may come from an attacker.
func (s Secret) Equal(t Secret) bool { return string(s.Reveal()) == string(t.Reveal()) }

// Clone returns a copy with bytes of its own, which is wiped separately.
func (s Secret) Clone() Secret { return New(append([]byte(nil), s.Reveal()...)) }

// Wipe overwrites the bytes. All copies of the Secret are empty afterwards.
func (s Secret) Wipe() {
	if s.p != nil {
		clear(**s.p)
		**s.p = nil
	}
}

// String returns the same text for every secret.
func (s Secret) String() string { return "[secret]" }

// MarshalText returns an error, so that no encoder, such as encoding/json, writes a secret by accident.
func (s Secret) MarshalText() ([]byte, error) {
	return nil, errors.New("a secret cannot be marshalled: call Reveal if that is intended")
}

// Grow returns b with room for n more bytes. If it has to move them it wipes the old buffer, which append would not.
func Grow(b []byte, n int) []byte {
	if len(b)+n <= cap(b) {
		return b
	}
	bigger := append(make([]byte, 0, 2*cap(b)+n), b...)
	clear(b)
	return bigger
}
