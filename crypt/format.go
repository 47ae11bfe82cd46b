// Package crypt encrypts account files under a password and seals secrets in memory.
//
// Files come in four formats (Format): ours (file.go), the one that KIT's C oidc-agent has written since 2.1.0
// and the one it wrote before (cfile.go), and messages to a gpg key (gpg.go). OpenAny decrypts them, and
// hands out the Key that writes the file again without the password. A Sealer (seal.go) keeps secrets encrypted
// while nobody needs them.
//
// The agent and the commands that write account files enter here; oidc-token does not. The package knows
// bytes only: neither paths nor JSON nor sockets. Start reading at key.go.
//
// References: [RFC 7914] scrypt, [RFC 9106] Argon2, [RFC 2104] HMAC, [RFC 9580] OpenPGP; secretbox is
// XSalsa20-Poly1305, https://nacl.cr.yp.to/secretbox.html.
package crypt

import (
	"bytes"
	"errors"
	"fmt"
)

var (
	// ErrWrongPassword says that the file is whole, as far as its format can tell, but the password is another.
	ErrWrongPassword = errors.New("wrong password")
	// ErrDamaged says that a file is not what was once written.
	ErrDamaged = errors.New("the file is damaged")
	// ErrFormat says that a file is not encrypted in any format (or version of it) that we know.
	ErrFormat = errors.New("not an encrypted file of a known format")
	// ErrOtherKey says that a file was encrypted under another salt, with other parameters or in another format
	// than a Key has: someone has written it anew, perhaps under another password.
	ErrOtherKey = errors.New("the file is encrypted under another key")
	// ErrTooCostly says that opening a file would take more memory or time than we are ready to spend.
	ErrTooCostly = errors.New("opening the file takes too much memory or time")
)

// damaged is an ErrDamaged with a reason, which shows nothing of the content.
func damaged(reason string) error { return fmt.Errorf("%w: %s", ErrDamaged, reason) }

// Format is the way in which a file is encrypted.
type Format int

// The formats. NewKey makes keys for the first two.
const (
	FormatScrypt   Format = iota + 1 // ours
	FormatC                          // the C tools', 2.1.0 and later
	FormatHex                        // the C tools', before 2.1.0
	formatOlderHex                   // the same in the outline, with another KDF
	FormatGPG                        // an armoured OpenPGP message
)

// A codec is what a format consists of.
type codec struct {
	name      string
	keyLength int // bytes taken from the KDF
	costs     costs
	derive    func(password, salt []byte, c costs, n int) ([]byte, error)
	parse     func(file []byte) (*envelope, error) // ErrDamaged, ErrTooCostly or ErrFormat before any key is computed
	text      func(e *envelope) []byte             // undoes parse
}

var codecs = [...]codec{
	FormatScrypt:   {"scrypt", 64, costs{1 << 16, 8, 1}, scryptKey, parseScrypt, scryptText}, // 64 MiB, some 0.2 s
	FormatC:        {"c", 64, costs{2, 64 << 10, 1}, argon2idKey, parseC, cText},
	FormatHex:      {"hex", 32, costs{2, 64 << 10, 1}, argon2idKey, parseHex, hexText},
	formatOlderHex: {"hex-argon2i", 32, costs{4, 32 << 10, 1}, argon2iKey, parseHex, hexText},
	FormatGPG:      {name: "gpg"}, // gpg's own affair
}

// String returns a short name: scrypt, c, hex, hex-argon2i or gpg.
func (f Format) String() string { return codecs[f].name }

// Detect tells a file's format by its outline. A damaged file keeps its format as long as it can be
// recognised by either end; an empty one is ErrDamaged, anything else is ErrFormat.
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
