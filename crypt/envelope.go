package crypt

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"

	"golang.org/x/crypto/nacl/secretbox"
)

const nonceLength = 24

// A recipe says how a password becomes a file's key. Files of one recipe and one password have one key.
type recipe struct {
	format Format
	costs  costs
	salt   string
}

// An envelope is an encrypted file, taken apart.
type envelope struct {
	recipe
	nonce [nonceLength]byte
	box   []byte // secretbox, XSalsa20-Poly1305
	check []byte // in base64: tells, whatever happened to the box, whether a password is the right one
}

// parse takes a file of any format apart that a password opens: ErrDamaged, ErrTooCostly, ErrFormat.
func parse(file []byte) (*envelope, error) {
	format, err := Detect(file)
	if err != nil {
		return nil, err
	}
	if format == FormatGPG {
		return nil, fmt.Errorf("no password opens a file encrypted to a gpg key: %w", ErrFormat)
	}
	e, err := codecs[format].parse(file)
	if err == nil && format != FormatScrypt { // the C tools compile theirs in
		e.costs = codecs[format].costs
	}
	return e, err
}

// minCheck is how many characters of a check must fit to count as a sign of the right password: 24 bits.
const minCheck = 4

// keys splits what the KDF has derived: into the key of the box, and the check that e must then have.
func (e *envelope) keys(derived []byte) (box *[32]byte, check []byte) {
	switch e.format {
	case FormatScrypt:
		h := hmac.New(sha256.New, derived[:32])
		h.Write(e.header())
		return (*[32]byte)(derived[32:]), encode64(h.Sum(nil))
	case FormatC:
		return (*[32]byte)(derived), encode64(derived[32:])
	}
	return (*[32]byte)(derived), nil // the hex format has no check: damage looks like a wrong password
}

// open decrypts e: ErrWrongPassword, ErrDamaged. In our format header and box must both be authentic. The check of a
// C file, which nothing authenticates, only tells why a box did not open. Like the C tools we compare it as far as the
// file has it; cut to nothing it says nothing, and most people who cannot open a file have mistyped its password.
func (e *envelope) open(derived []byte) ([]byte, error) {
	box, check := e.keys(derived)
	n := len(e.check)
	fits := n >= minCheck && n <= len(check) && subtle.ConstantTimeCompare(check[:n], e.check) == 1
	if !fits && e.format == FormatScrypt {
		return nil, ErrWrongPassword
	}
	plaintext, ok := secretbox.Open(nil, e.box, &e.nonce, box)
	switch {
	case ok:
		return plaintext, nil
	case fits:
		return nil, damaged("its nonce or content was changed")
	}
	return nil, ErrWrongPassword
}

func encode64(b []byte) []byte { return base64.StdEncoding.AppendEncode(nil, b) }

// exactly decodes n bytes, and returns nil where text is something else.
func exactly(n int, text []byte, decode func(dst, src []byte) ([]byte, error)) []byte {
	b, err := decode(nil, text)
	if err != nil || len(b) != n {
		clear(b) // it may be a key
		return nil
	}
	return b
}
