package crypt

import (
	"crypto/rand"
	"errors"

	"golang.org/x/crypto/nacl/secretbox"

	"oidc-agent/proto/secret"
)

// A Sealer keeps secrets encrypted in memory while nobody needs them, under a random key that never leaves the
// process: a swapped page, a core or a stray pointer shows a box, not a token. Who can read all of the
// memory finds the key as well. It is safe for concurrent use.
type Sealer struct{ key secret.Secret }

// Sealed is a secret that only the Sealer which made it can open. The zero value is the sealed empty secret; of
// others it tells the length.
type Sealed struct{ box []byte } // nonce, then secretbox

const sealerKeyLength = 32

var errSealed = errors.New("the sealed secret is from another process or was changed")

// NewSealer makes a Sealer with a fresh key. The error is for key stores that can fail; memory cannot.
func NewSealer() (*Sealer, error) {
	key := make([]byte, sealerKeyLength)
	rand.Read(key)
	return &Sealer{secret.New(key)}, nil
}

// Seal encrypts plaintext and wipes it.
func (s *Sealer) Seal(plaintext secret.Secret) Sealed {
	defer plaintext.Wipe()
	if plaintext.IsEmpty() {
		return Sealed{}
	}
	// A random 24-byte nonce for each box: under one key they do not meet (see sealBox in file.go).
	var nonce [nonceLength]byte
	rand.Read(nonce[:])
	return Sealed{secretbox.Seal(nonce[:], plaintext.Reveal(), &nonce, (*[sealerKeyLength]byte)(s.key.Reveal()))}
}

// Open decrypts into fresh memory, which the caller wipes after use.
func (s *Sealer) Open(sealed Sealed) (secret.Secret, error) {
	if len(sealed.box) == 0 {
		return secret.Secret{}, nil
	}
	nonce, box := (*[nonceLength]byte)(sealed.box), sealed.box[nonceLength:]
	plaintext, ok := secretbox.Open(nil, box, nonce, (*[sealerKeyLength]byte)(s.key.Reveal()))
	if !ok {
		return secret.Secret{}, errSealed
	}
	return secret.New(plaintext), nil
}
