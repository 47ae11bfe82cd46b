package crypt

import (
	"bytes"
	"crypto/rand"
	"errors"
	"sync"

	"golang.org/x/crypto/nacl/secretbox"

	"oidc-agent/proto/secret"
)

// A Sealer keeps secrets encrypted in memory while nobody needs them, under a random key that never leaves the
// process: a swapped page, a core or a stray pointer shows a box, not a token. Who can read all of the
// memory finds the key as well. It is safe for concurrent use.
type Sealer struct {
	mu       sync.Mutex
	key      secret.Secret // 32 bytes, empty while locked
	locked   []byte        // the key under a password, nil while there is none
	unlocked sync.Cond
}

// ErrLocked is the error of a Sealer whose key is locked away.
var ErrLocked = errors.New("locked")

var errSealed = errors.New("the sealed secret is from another process or was changed")

// Sealed is a secret that only the Sealer which made it can open. The zero value is the sealed empty secret.
type Sealed struct{ box []byte } // nonce, then secretbox of the secret with its padding

// IsEmpty reports whether the secret inside is empty.
func (s Sealed) IsEmpty() bool { return len(s.box) == 0 }

// NewSealer makes a Sealer with a fresh key.
func NewSealer() *Sealer {
	key := make([]byte, 32)
	rand.Read(key)
	s := &Sealer{key: secret.New(key)}
	s.unlocked.L = &s.mu
	return s
}

// Seal encrypts plaintext and wipes it. While the Sealer is locked there is no key, and Seal waits: a secret is
// not lost.
func (s *Sealer) Seal(plaintext secret.Secret) Sealed {
	defer plaintext.Wipe()
	if plaintext.IsEmpty() {
		return Sealed{}
	}
	padded := pad(plaintext.Reveal())
	defer clear(padded)
	var nonce [nonceLength]byte // at random, as in Key.Encrypt
	rand.Read(nonce[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.locked != nil {
		s.unlocked.Wait()
	}
	return Sealed{secretbox.Seal(nonce[:], padded, &nonce, (*[32]byte)(s.key.Reveal()))}
}

// paddingMark begins the padding; zeros follow.
const paddingMark = 1

// pad returns a copy that fills blocks of Salsa20, of 64 bytes, but for the half of the first that secretbox needs
// itself. What fills a part of one would be worked on in a copy on the stack, which nobody wipes.
func pad(plaintext []byte) []byte {
	padded := make([]byte, 32+(len(plaintext)+32)/64*64)
	padded[copy(padded, plaintext)] = paddingMark
	return padded
}

// Open decrypts into fresh memory, which the caller wipes after use.
func (s *Sealer) Open(sealed Sealed) (secret.Secret, error) {
	if sealed.IsEmpty() {
		return secret.Secret{}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locked != nil {
		return secret.Secret{}, ErrLocked
	}
	nonce, box := (*[nonceLength]byte)(sealed.box), sealed.box[nonceLength:]
	plaintext, ok := secretbox.Open(nil, box, nonce, (*[32]byte)(s.key.Reveal()))
	if !ok {
		return secret.Secret{}, errSealed
	}
	return secret.New(plaintext[:bytes.LastIndexByte(plaintext, paddingMark)]), nil
}

// Lock encrypts the sealer's key under a password and wipes it: until Unlock nothing can be opened, not even by
// who can read all of the memory. It takes a run of scrypt.
func (s *Sealer) Lock(password secret.Secret) error {
	key, err := NewKey(password, FormatScrypt)
	if err != nil {
		return err
	}
	defer key.Wipe()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locked != nil {
		return ErrLocked
	}
	if s.locked, err = key.Encrypt(s.key.Reveal()); err != nil {
		return err
	}
	s.key.Wipe()
	return nil
}

// Unlock takes back Lock. The error is ErrWrongPassword where the password is another one. It takes a run of
// scrypt.
func (s *Sealer) Unlock(password secret.Secret) error {
	s.mu.Lock()
	locked := s.locked
	s.mu.Unlock()
	if locked == nil {
		return nil
	}
	plaintext, key, err := Open(locked, password)
	if err != nil {
		return err
	}
	key.Wipe()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key, s.locked = plaintext, nil
	s.unlocked.Broadcast()
	return nil
}
