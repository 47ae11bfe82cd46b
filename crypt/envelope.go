package crypt

import "fmt"

// An envelope is an encrypted file, taken apart.
type envelope struct {
	format Format
	kdfs   []kdf // in the order in which they are tried; only FormatHex has two
	salt   []byte
	nonce  [nonceLength]byte
	box    []byte // Poly1305's 16 bytes, then the ciphertext
	mac    []byte // FormatScrypt: authenticates the header
	check  []byte // FormatC: line 6
}

// A codec is what a format consists of. The rest of the package does not ask which one it has.
type codec struct {
	name      string
	keyLength int // bytes taken from the KDF

	// parse takes a file apart before any key is computed: *DamagedError, ErrTooCostly, ErrFormat.
	parse func(file []byte) (*envelope, error)
	// text is the whole file; it undoes parse.
	text func(e *envelope) []byte
	// seal encrypts plaintext into e, whose salt and nonce are set.
	seal func(e *envelope, derived, plaintext []byte)
	// open decrypts e: ErrWrongPassword, *DamagedError.
	open func(e *envelope, derived []byte) ([]byte, error)
}

var codecs = [...]codec{
	FormatScrypt: {"scrypt", 64, parseScrypt, scryptText, sealScrypt, openScrypt},
	FormatC:      {"c", 64, parseC, cText, sealC, openC},
	FormatHex:    {"hex", 32, parseHex, hexText, sealHex, openHex},
	FormatGPG:    {name: "gpg"}, // gpg's own affair
}

// parse takes a file of any format apart that a password opens.
func parse(file []byte) (*envelope, error) {
	format, err := Detect(file)
	if err != nil {
		return nil, err
	}
	if format == FormatGPG {
		return nil, fmt.Errorf("no password opens a file encrypted to a gpg key: %w", ErrFormat)
	}
	return codecs[format].parse(file)
}
