package crypt

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"

	"golang.org/x/crypto/nacl/secretbox"
)

// The C tools' format before 2.1.0 is one line of hex, LENGTH:SALT:NONCE:BOX with LENGTH the bytes of the box. It
// says nothing about the KDF, which changed once, so both are tried. No key is made for it (NewKey), but the
// key of such a file writes it again: a rotated refresh token must not be lost on an old file.
func parseHex(file []byte) (*envelope, error) {
	line, _ := outerLines(file)
	fields := bytes.Split(line, []byte(":"))
	if len(fields) != 4 {
		return nil, &DamagedError{fmt.Sprintf("it has %d fields, not 4", len(fields))}
	}
	salt, errSalt := hex.AppendDecode(nil, fields[1])
	nonce, errNonce := hex.AppendDecode(nil, fields[2])
	box, errBox := hex.AppendDecode(nil, fields[3])
	damaged := ""
	switch {
	case errSalt != nil || len(salt) != cSaltLength:
		damaged = "its second field is no salt"
	case errNonce != nil || len(nonce) != nonceLength:
		damaged = "its third field is no nonce"
	case errBox != nil:
		damaged = "its fourth field is not hex"
	case len(box) < secretbox.Overhead || string(fields[0]) != strconv.Itoa(len(box)):
		damaged = "its content is not as long as its first field says"
	}
	if damaged != "" {
		return nil, &DamagedError{damaged}
	}
	e := &envelope{format: FormatHex, kdfs: []kdf{olderCKDF, cKDF}, salt: salt, box: box}
	copy(e.nonce[:], nonce)
	return e, nil
}

func hexText(e *envelope) []byte {
	return fmt.Appendf(nil, "%d:%x:%x:%x", len(e.box), e.salt, e.nonce, e.box)
}

func sealHex(e *envelope, derived, plaintext []byte) {
	e.box = sealBox(plaintext, &e.nonce, derived)
}

// openHex cannot tell damage from a wrong password, and neither can the C tools.
func openHex(e *envelope, derived []byte) ([]byte, error) {
	plaintext, ok := secretbox.Open(nil, e.box, &e.nonce, (*[32]byte)(derived))
	if !ok {
		return nil, ErrWrongPassword
	}
	return plaintext, nil
}
