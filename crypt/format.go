// Package crypt encrypts account files and seals secrets in memory.
//
// It knows four file formats (see [Format]): our own (file.go), the C oidc-agent's since version 2.1.0 and the one
// before (cfile.go), and OpenPGP messages to a gpg key (gpg.go). [OpenAny] decrypts a file of any format and returns
// the [Key] that writes it again without its password. A [Sealer] keeps unused secrets encrypted in memory.
//
// The agent and the commands that handle account files may import it; oidc-token must not. It handles bytes only: no
// paths, no JSON, no sockets. Start reading at key.go.
//
// References: RFC 7914 scrypt, RFC 9106 Argon2, RFC 2104 HMAC, RFC 9580 OpenPGP; secretbox is
// XSalsa20-Poly1305, https://nacl.cr.yp.to/secretbox.html.
package crypt

import (
	"bytes"
	"errors"
	"fmt"
)

var (
	// ErrWrongPassword means that the password is wrong and that the file is intact, as far as its format can tell.
	ErrWrongPassword = errors.New("wrong password")
	// ErrDamaged means that the file has changed since it was written.
	ErrDamaged = errors.New("the file is damaged")
	// ErrFormat means that the file is not encrypted, or in a format or version that this package does not know.
	ErrFormat = errors.New("not an encrypted file of a known format")
	// ErrOtherKey means that a file has another salt, other parameters or another format than the Key: someone has
	// written it again, perhaps with another password.
	ErrOtherKey = errors.New("the file is encrypted with another key")
	// ErrTooCostly means that opening the file would take more memory or time than is allowed.
	ErrTooCostly = errors.New("opening the file takes too much memory or time")
)

// damaged returns an ErrDamaged with a reason, which must not show any of the content.
func damaged(reason string) error { return fmt.Errorf("%w: %s", ErrDamaged, reason) }

// Format is a way in which a file is encrypted.
type Format int

// The formats. NewKey makes keys for the first two.
const (
	FormatScrypt   Format = iota + 1 // ours
	FormatC                          // the C tools', 2.1.0 and later
	FormatHex                        // the C tools', before 2.1.0
	formatOlderHex                   // looks like FormatHex, but has another KDF
	FormatGPG                        // an armored OpenPGP message
)

// A codec describes a format.
type codec struct {
	name      string
	keyLength int   // bytes taken from the KDF
	costs     costs // of new keys; in the C tools' formats, of all files
	parse     func(file []byte) (*envelope, error)
	text      func(e *envelope) []byte // undoes parse
}

var codecs = [...]codec{
	FormatScrypt:   {"scrypt", 64, costs{1 << 16, 8, 1}, parseScrypt, scryptText}, // 64 MiB, some 0.2 s
	FormatC:        {"c", 64, costs{2, 64 << 10, 1}, parseC, cText},
	FormatHex:      {"hex", 32, costs{2, 64 << 10, 1}, parseHex, hexText},
	formatOlderHex: {"hex-argon2i", 32, costs{4, 32 << 10, 1}, parseHex, hexText},
	FormatGPG:      {name: "gpg"}, // left to the gpg program
}

// String returns a short name: scrypt, c, hex, hex-argon2i or gpg.
func (f Format) String() string { return codecs[f].name }

// Detect recognizes a file's format by its beginning or its end, so that a damaged file still has one. An empty file
// is ErrDamaged; anything that is not recognized is ErrFormat.
func Detect(file []byte) (Format, error) {
	number := file[:len(file)-len(bytes.TrimLeft(file, "0123456789"))]
	rest := file[len(number):]
	switch {
	case len(file) == 0:
		return 0, damaged("it is empty")
	case bytes.HasPrefix(file, []byte(armorBegin)):
		return FormatGPG, nil
	case bytes.HasPrefix(file, []byte(magic)), bytes.HasPrefix([]byte(magic), file),
		bytes.Contains(file, []byte(sumLabel)):
		return FormatScrypt, nil
	case len(number) > 0 && bytes.HasPrefix(rest, []byte(":")) && bytes.Count(rest, []byte(":")) == 3:
		return FormatHex, nil
	case len(number) > 0 && (len(rest) == 0 || rest[0] == '\n'), bytes.Contains(file, []byte(cVersionLabel)):
		return FormatC, nil
	}
	return 0, ErrFormat
}
