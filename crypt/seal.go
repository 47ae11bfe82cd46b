package crypt

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"sync"

	"golang.org/x/crypto/nacl/secretbox"

	"oidc-agent/proto/secret"
)

// A Sealer keeps secrets encrypted in memory while they are not in use. Its random key never leaves the process, so a
// swapped page, part of a core dump or an overread buffer does not show a token. Anyone who can read the whole memory
// finds the key as well, unless the Sealer is locked. A Sealer is safe for concurrent use.
type Sealer struct {
	mu       sync.Mutex
	key      secret.Secret // 32 bytes; empty while locked
	locked   []byte        // the key encrypted with a password; nil while not locked
	unlocked sync.Cond
}

// ErrLocked means that the Sealer is locked.
var ErrLocked = errors.New("locked")

// Sealed is a secret that only the Sealer that sealed it can open. The zero value is the sealed empty secret.
type Sealed struct{ box []byte }

// IsEmpty reports whether the secret is empty.
func (s Sealed) IsEmpty() bool { return len(s.box) == 0 }

// NewSealer returns a Sealer with a fresh key.
func NewSealer() *Sealer {
	key := make([]byte, 32)
	rand.Read(key)
	s := &Sealer{key: secret.New(key)}
	s.unlocked.L = &s.mu
	return s
}

// Seal encrypts plaintext and wipes it. While the Sealer is locked it has no key, so Seal waits for Unlock.
func (s *Sealer) Seal(plaintext secret.Secret) Sealed {
	defer plaintext.Wipe()
	if plaintext.IsEmpty() {
		return Sealed{}
	}
	padded := pad(plaintext.Reveal())
	defer clear(padded)
	var nonce [nonceLength]byte // random, see Key.Encrypt
	rand.Read(nonce[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.locked != nil {
		s.unlocked.Wait()
	}
	return Sealed{secretbox.Seal(nonce[:], padded, &nonce, (*[32]byte)(s.key.Reveal()))}
}

// paddingMark begins the padding. Zeros follow.
const paddingMark = 1

// pad returns a copy that is padded to whole blocks of Salsa20, 64 bytes each; secretbox itself uses half of the first.
// Salsa20 would copy a partial block to the stack, where nothing wipes it.
func pad(plaintext []byte) []byte {
	padded := make([]byte, 32+(len(plaintext)+32)/64*64)
	padded[copy(padded, plaintext)] = paddingMark
	return padded
}

// Open returns a secret that the caller wipes after use. The error is ErrLocked while the Sealer is locked.
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
		return secret.Secret{}, errors.New("the sealed secret was changed or is from another process")
	}
	return secret.New(plaintext[:bytes.LastIndexByte(plaintext, paddingMark)]), nil
}

// Lock encrypts the Sealer's key with a password and wipes it, which takes a run of scrypt. Until Unlock nobody can
// open a secret, even by reading the whole memory. The error is ErrLocked if the Sealer is locked already.
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
	if s.locked, err = key.Encrypt(context.Background(), s.key.Reveal()); err != nil {
		return err
	}
	s.key.Wipe()
	return nil
}

// Unlock undoes Lock, if the Sealer is locked. It takes a run of scrypt. The error may be ErrWrongPassword.
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
