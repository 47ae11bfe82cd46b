// Package crypt encrypts account files under a password and seals secrets in memory.
//
// Files come in four formats (Format): ours (scrypt, see file.go), the one that KIT's C oidc-agent has
// written since 2.1.0 (cfile.go), the one it wrote before (hexfile.go), and messages to a gpg key (gpg.go).
// Open decrypts the first three, and hands out the Key that writes the file again without the password.
// A Sealer (seal.go) keeps secrets encrypted while nobody needs them.
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
	"strconv"
)

// ErrWrongPassword says that the file is whole, as far as its format can tell, but the password is another.
var ErrWrongPassword = errors.New("wrong password")

// ErrFormat says that a file is not encrypted in any format (or version of it) that we know.
var ErrFormat = errors.New("not an encrypted file of a known format")

// ErrOtherKey says that a file was encrypted under another salt or with other parameters than a Key has:
// someone has written it anew, perhaps under another password.
var ErrOtherKey = errors.New("the file is encrypted under another key")

// ErrTooCostly says that opening a file would take more memory or time than we are ready to spend.
var ErrTooCostly = errors.New("opening the file takes too much memory or time")

// DamagedError says that a file is not what was once written.
type DamagedError struct {
	Reason string // what is wrong with it; shows nothing of the content
}

func (e *DamagedError) Error() string { return "the file is damaged: " + e.Reason }

// Format is the way in which a file is encrypted.
type Format int

// The formats, of which NewKey makes keys for the first two.
const (
	FormatScrypt Format = iota + 1 // ours
	FormatC                        // the C tools', 2.1.0 and later
	FormatHex                      // the C tools', before 2.1.0
	FormatGPG                      // an armoured OpenPGP message, for DecryptGPG
)

// String returns a short name: scrypt, c, hex or gpg.
func (f Format) String() string {
	if f <= 0 || int(f) >= len(codecs) {
		return "Format(" + strconv.Itoa(int(f)) + ")"
	}
	return codecs[f].name
}

// Detect tells a file's format by its outline. A damaged file keeps its format as long as it can be
// recognised by either end; an empty one is a *DamagedError, anything else is ErrFormat.
func Detect(file []byte) (Format, error) {
	first, last := outerLines(file)
	length, rest, hasColon := bytes.Cut(first, []byte(":"))
	switch {
	case len(file) == 0:
		return 0, &DamagedError{"it is empty"}
	case bytes.HasPrefix(file, []byte(armorBegin)):
		return FormatGPG, nil
	case bytes.HasPrefix(file, []byte(magic)), bytes.HasPrefix([]byte(magic), file),
		bytes.HasPrefix(last, []byte(sumLabel)):
		return FormatScrypt, nil
	case hasColon && isDecimal(length) && bytes.Count(rest, []byte(":")) == 2:
		return FormatHex, nil
	case isDecimal(first), bytes.HasPrefix(last, []byte(cVersionLabel)):
		return FormatC, nil
	}
	return 0, ErrFormat
}

// outerLines returns the first and the last line, without their LF.
func outerLines(file []byte) (first, last []byte) {
	text := bytes.TrimRight(file, "\n")
	first, _, _ = bytes.Cut(text, []byte("\n"))
	return first, text[bytes.LastIndexByte(text, '\n')+1:]
}

func isDecimal(text []byte) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(text) > 0
}
