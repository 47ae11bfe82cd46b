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

// A recipe says how a key is derived from a password. Files with the same recipe and password have the same key.
type recipe struct {
	format Format
	costs  costs
	salt   string
}

// An envelope is a parsed file, still encrypted.
type envelope struct {
	recipe
	nonce [nonceLength]byte
	box   []byte // secretbox, XSalsa20-Poly1305
	check []byte // base64: tells whether the password is right even if the box is damaged
}

// parse parses a file that is encrypted with a password. The errors are ErrDamaged, ErrTooCostly and ErrFormat.
func parse(file []byte) (*envelope, error) {
	format, err := Detect(file)
	if err != nil {
		return nil, err
	}
	if format == FormatGPG {
		return nil, fmt.Errorf("no password opens a gpg message: %w", ErrFormat)
	}
	e, err := codecs[format].parse(file)
	if err == nil && format != FormatScrypt { // the C tools have fixed costs
		e.costs = codecs[format].costs
	}
	return e, err
}

// minCheck is the length from which a matching check counts as proof of the right password: 4 characters, 24 bits.
const minCheck = 4

// keys splits the derived bytes into the key of the box and the check that e must have.
func (e *envelope) keys(derived []byte) (box *[32]byte, check []byte) {
	switch e.format {
	case FormatScrypt:
		h := hmac.New(sha256.New, derived[:32])
		h.Write(e.header())
		return (*[32]byte)(derived[32:]), encode64(h.Sum(nil))
	case FormatC:
		return (*[32]byte)(derived), encode64(derived[32:])
	}
	return (*[32]byte)(derived), nil // the hex formats have no check
}

// open decrypts e. The errors are ErrWrongPassword and ErrDamaged. In our format both header and box must be authentic.
// In a C file nothing authenticates the check, so it only explains why the box does not open: like the C tools, open
// compares as much of it as the file has, and without one assumes a wrong password.
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

// A decoder is one of the AppendDecode functions of encoding/base64 and encoding/hex.
type decoder func(dst, src []byte) ([]byte, error)

// exactly decodes text, and returns nil unless that gives n bytes.
func exactly(n int, text []byte, decode decoder) []byte {
	b, err := decode(nil, text)
	if err != nil || len(b) != n {
		clear(b) // it may be a key
		return nil
	}
	return b
}
