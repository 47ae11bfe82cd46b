package crypt

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"strconv"

	"golang.org/x/crypto/nacl/secretbox"
)

// The C tools' format since 2.1.0, read and written; no LF at the end:
//
//	LENGTH of the box in bytes, decimal
//	NONCE, 24 bytes base64
//	SALT, 16 bytes base64
//	24:16:16:32:1:2:67108864:2
//	BOX, base64 in one line
//	CHECK, base64 of the second half of the derived key
//	Generated using version: 5.3.3
//
// Line 4 is the lengths of nonce, salt, MAC and key, then the base64 variant and Argon2id's parameters; the C tools
// go by the lengths alone and compile the rest in, so we do. They need line 7 to tell this format from the
// one before; we tell it by its lines and open a file without line 7 too, as they mostly do.
const (
	cVersionLabel = "Generated using version:"
	cVersionLine  = cVersionLabel + " 5.3.3" // the C tools compare it with 2.1.0
	cParameters   = "24:16:16:32:1:2:67108864:2"
	cSaltLength   = 16

	// minCheck is how many characters of line 6 must fit to count as a sign of the right password: 24 bits.
	minCheck = 4
)

// parseC takes a file of the C tools apart.
func parseC(file []byte) (*envelope, error) {
	lines := bytes.Split(bytes.TrimRight(file, "\n"), []byte("\n"))
	if len(lines) != 6 && len(lines) != 7 {
		return nil, &DamagedError{fmt.Sprintf("it has %d lines, not 7", len(lines))}
	}
	e := &envelope{format: FormatC, kdfs: []kdf{cKDF}, check: lines[5]}
	nonce, okNonce := labelled(lines[1], "", nonceLength)
	salt, okSalt := labelled(lines[2], "", cSaltLength)
	box, okBox := decode64(lines[4])
	damaged := ""
	switch {
	case !okNonce:
		damaged = "line 2 is no nonce"
	case !okSalt:
		damaged = "line 3 is no salt"
	case !sameLengths(lines[3]):
		damaged = "line 4 has other lengths than the C tools write"
	case !okBox:
		damaged = "line 5 is not base64"
	case len(box) < secretbox.Overhead || string(lines[0]) != strconv.Itoa(len(box)):
		damaged = "line 5 is not as long as line 1 says"
	}
	if damaged != "" {
		return nil, &DamagedError{damaged}
	}
	copy(e.nonce[:], nonce)
	e.salt, e.box = salt, box
	return e, nil
}

// sameLengths reports whether line 4 begins with the four lengths that we write.
func sameLengths(line []byte) bool {
	got, want := bytes.Split(line, []byte(":")), bytes.Split([]byte(cParameters), []byte(":"))
	return len(got) >= 4 && bytes.Equal(bytes.Join(got[:4], nil), bytes.Join(want[:4], nil))
}

func cText(e *envelope) []byte {
	return fmt.Appendf(nil, "%d\n%s\n%s\n%s\n%s\n%s\n%s", len(e.box), encode64(e.nonce[:]), encode64(e.salt),
		cParameters, encode64(e.box), e.check, cVersionLine)
}

func sealC(e *envelope, derived, plaintext []byte) {
	e.check = encode64(derived[32:])
	e.box = sealBox(plaintext, &e.nonce, derived[:32])
}

// openC lets Poly1305 decide. The check line, which nothing authenticates, only tells why a box did not open. Like
// the C tools we compare it as far as the file has it; cut to nothing it says nothing, and most people who cannot
// open a file have mistyped its password.
func openC(e *envelope, derived []byte) ([]byte, error) {
	if plaintext, ok := secretbox.Open(nil, e.box, &e.nonce, (*[32]byte)(derived[:32])); ok {
		return plaintext, nil
	}
	want := encode64(derived[32:])
	defer clear(want)
	n := len(e.check)
	if n < minCheck || n > len(want) || subtle.ConstantTimeCompare(want[:n], e.check) == 0 {
		return nil, ErrWrongPassword
	}
	return nil, &DamagedError{"its nonce or content was changed"}
}
