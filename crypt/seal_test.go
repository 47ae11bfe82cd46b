package crypt

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/nacl/secretbox"

	"oidc-agent/proto/secret"
)

func TestSealer(t *testing.T) {
	t.Parallel()
	s := NewSealer()
	plaintext := []byte("hunter2")
	sealed := s.Seal(secret.New(plaintext))
	if !bytes.Equal(plaintext, make([]byte, 7)) {
		t.Errorf("Seal left its input: %q", plaintext)
	}
	if bytes.Contains(sealed.box, []byte("hunter2")) {
		t.Errorf("the box shows it: %q", sealed.box)
	}
	for range 2 {
		got, err := s.Open(sealed)
		if err != nil || string(got.Reveal()) != "hunter2" {
			t.Fatalf("Open: %q, %v", got.Reveal(), err)
		}
		got.Wipe() // does not reach the sealed one
	}
	again := s.Seal(secret.FromString("hunter2"))
	if bytes.Equal(sealed.box, again.box) {
		t.Error("two boxes are the same: the nonce is not fresh")
	}
}

func TestSealerRefuses(t *testing.T) {
	t.Parallel()
	s := NewSealer()
	sealed := s.Seal(secret.FromString("hunter2"))
	if _, err := NewSealer().Open(sealed); err == nil {
		t.Error("another Sealer opens it")
	}
	for i := range sealed.box {
		sealed.box[i] ^= 1
		if _, err := s.Open(sealed); err == nil {
			t.Errorf("byte %d changed: it opens", i)
		}
		sealed.box[i] ^= 1
	}
}

// Secrets of all lengths come back, even if they look like padding, and none leaves a partial block.
func TestSealLengths(t *testing.T) {
	t.Parallel()
	s := NewSealer()
	for n := range 300 {
		for _, end := range []string{"x", "\x01", "\x00", "\x01\x00"} {
			text := strings.Repeat("a", n) + end
			sealed := s.Seal(secret.FromString(text))
			if got, err := s.Open(sealed); err != nil || string(got.Reveal()) != text {
				t.Errorf("%q became %q, %v", text, got.Reveal(), err)
			}
			if rest := (len(sealed.box) - nonceLength - secretbox.Overhead - 32) % 64; rest != 0 {
				t.Errorf("%d bytes: %d are worked on in a copy", len(text), rest)
			}
		}
	}
}

func TestSealEmpty(t *testing.T) {
	t.Parallel()
	s := NewSealer()
	for _, sealed := range []Sealed{{}, s.Seal(secret.Secret{}), s.Seal(secret.FromString(""))} {
		if got, err := s.Open(sealed); err != nil || !got.IsEmpty() {
			t.Errorf("%d bytes, %v", got.Len(), err)
		}
	}
}

func TestSealerConcurrently(t *testing.T) {
	t.Parallel()
	s := NewSealer()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if got, err := s.Open(s.Seal(secret.FromString("hunter2"))); err != nil || string(got.Reveal()) != "hunter2" {
					t.Errorf("%q, %v", got.Reveal(), err)
				}
			}
		})
	}
	wg.Wait()
}

func TestSealerLock(t *testing.T) {
	t.Parallel()
	s := NewSealer()
	sealed, key := s.Seal(secret.FromString("token")), s.key.Reveal()
	if err := s.Lock(secret.FromString("lock")); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(key, make([]byte, 32)) {
		t.Error("the key of a locked sealer is still in memory")
	}
	if _, err := s.Open(sealed); !errors.Is(err, ErrLocked) {
		t.Errorf("Open of a locked sealer: %v, want ErrLocked", err)
	}
	if err := s.Lock(secret.FromString("other")); !errors.Is(err, ErrLocked) {
		t.Errorf("second Lock: %v, want ErrLocked", err)
	}
	late := make(chan Sealed)
	go func() { late <- s.Seal(secret.FromString("rotated")) }()
	if err := s.Unlock(secret.FromString("other")); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("Unlock with another password: %v, want ErrWrongPassword", err)
	}
	if err := s.Unlock(secret.FromString("lock")); err != nil {
		t.Fatal(err)
	}
	for sealed, want := range map[*Sealed]string{&sealed: "token", new(<-late): "rotated"} {
		if got, err := s.Open(*sealed); err != nil || string(got.Reveal()) != want {
			t.Errorf("after Unlock: %q, %v, want %q", got.Reveal(), err, want)
		}
	}
}
