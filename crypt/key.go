package crypt

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"

	"oidc-agent/proto/secret"
)

// A Key is what a KDF run gives for one file: the derived bytes, and the salt and parameters that they belong to. It
// reads and writes the file again and again without the password and without another run; the salt stays, each
// write has a fresh nonce. It does not print, and is safe for concurrent use until it is wiped.
type Key struct {
	format  Format
	kdf     kdf
	salt    []byte
	derived secret.Secret
}

var (
	errKeyGone = errors.New("the key has been wiped")
	errKeyText = errors.New("not the text of a file key")
)

// NewKey derives a key under a fresh salt for a new file, FormatScrypt or FormatC. It takes 64 MiB of memory and
// some 0.2 s.
func NewKey(password secret.Secret, f Format) (*Key, error) {
	salt := make([]byte, saltLength)
	rand.Read(salt)
	switch f {
	case FormatScrypt:
		return newKey(f, scryptKDF, salt, password)
	case FormatC:
		return newKey(f, cKDF, salt, password)
	}
	return nil, fmt.Errorf("no new file is written in format %v", f)
}

// DeriveKey derives the key that opens file. Before any work it looks at the SHA-256 (*DamagedError) and at the
// parameters (ErrTooCostly), then it authenticates the header (ErrWrongPassword) and the content (*DamagedError).
// The older C formats have no SHA-256 and no authenticated header, so there some damage looks like a wrong password.
func DeriveKey(file []byte, password secret.Secret) (*Key, error) {
	plaintext, k, err := Open(file, password)
	plaintext.Wipe()
	return k, err
}

// Open decrypts file and returns its key as well, with the errors of DeriveKey; ErrFormat for anything that no
// password opens.
func Open(file []byte, password secret.Secret) (secret.Secret, *Key, error) {
	e, err := parse(file)
	if err != nil {
		return secret.Secret{}, nil, err
	}
	for _, f := range e.kdfs {
		k, errDerive := newKey(e.format, f, e.salt, password)
		if errDerive != nil {
			return secret.Secret{}, nil, errDerive
		}
		var plaintext []byte
		if plaintext, err = k.codec().open(e, k.derived.Reveal()); err == nil {
			return secret.New(plaintext), k, nil
		}
		k.Wipe()
	}
	return secret.Secret{}, nil, err
}

func newKey(format Format, f kdf, salt []byte, password secret.Secret) (*Key, error) {
	derived, err := f.derive(password.Reveal(), salt, codecs[format].keyLength)
	if err != nil {
		return nil, fmt.Errorf("deriving the file's key: %w", err)
	}
	return &Key{format, f, salt, secret.New(derived)}, nil
}

// Encrypt returns the text of a whole file.
func (k *Key) Encrypt(plaintext []byte) ([]byte, error) {
	if !k.usable() {
		return nil, errKeyGone
	}
	e := &envelope{format: k.format, kdfs: []kdf{k.kdf}, salt: k.salt}
	rand.Read(e.nonce[:])
	k.codec().seal(e, k.derived.Reveal(), plaintext)
	return k.codec().text(e), nil
}

// Decrypt opens a file that was written with this key. ErrOtherKey: it has another format, salt or parameters;
// otherwise the errors are those of DeriveKey.
func (k *Key) Decrypt(file []byte) (secret.Secret, error) {
	if !k.usable() {
		return secret.Secret{}, errKeyGone
	}
	e, err := parse(file)
	if err != nil {
		return secret.Secret{}, err
	}
	if e.format != k.format || !k.fits(e) {
		return secret.Secret{}, ErrOtherKey
	}
	plaintext, err := k.codec().open(e, k.derived.Reveal())
	return secret.New(plaintext), err
}

// fits reports whether the key may open e, going by what stands outside the encryption.
func (k *Key) fits(e *envelope) bool {
	for _, f := range e.kdfs {
		if f == k.kdf {
			return bytes.Equal(e.salt, k.salt)
		}
	}
	return false
}

// Format returns the format of the files that the key writes.
func (k *Key) Format() Format { return k.format }

// Wipe overwrites the derived bytes; the key is of no use afterwards.
func (k *Key) Wipe() { k.derived.Wipe() }

// String says which format the key is for, and nothing of the key.
func (k *Key) String() string { return "key of a file in format " + k.format.String() }

func (k *Key) codec() *codec { return &codecs[k.format] }

func (k *Key) usable() bool {
	return k.format >= FormatScrypt && k.format <= FormatHex && k.derived.Len() == k.codec().keyLength
}

// Marshal returns the key as one line of text, FORMAT:KDF:COST:COST:COST:SALT:KEY with salt and key in base64, which
// travels on the agent's socket. A wiped key gives the empty secret.
func (k *Key) Marshal() secret.Secret {
	if !k.usable() {
		return secret.Secret{}
	}
	text := make([]byte, 0, 256) // longer than any key: it must not move and leave a copy
	text = fmt.Appendf(text, "%v:%s:", k.format, k.kdf.name)
	for _, c := range k.kdf.costs {
		text = append(strconv.AppendInt(text, int64(c), 10), ':')
	}
	text = append(append(text, encode64(k.salt)...), ':')
	derived := encode64(k.derived.Reveal())
	defer clear(derived)
	return secret.New(append(text, derived...))
}

// ParseKey reads what Marshal wrote, and nothing else. The text stays with the caller, who wipes it; an error does
// not show it.
func ParseKey(text []byte) (*Key, error) {
	fields := bytes.Split(text, []byte(":"))
	if len(fields) != 7 {
		return nil, errKeyText
	}
	k := &Key{kdf: kdf{name: string(fields[1])}}
	for f := FormatScrypt; f <= FormatHex; f++ {
		if f.String() == string(fields[0]) {
			k.format = f
		}
	}
	for i := range k.kdf.costs {
		var err error
		if k.kdf.costs[i], err = parseCost(fields[2+i]); err != nil {
			return nil, errKeyText
		}
	}
	salt, okSalt := decode64(fields[5])
	derived, okDerived := decode64(fields[6])
	k.salt, k.derived = salt, secret.New(derived)
	if !okSalt || !okDerived || !k.usable() || !k.hasParameters() {
		k.Wipe()
		return nil, errKeyText
	}
	return k, nil
}

// hasParameters reports whether the salt and the KDF are such as the key's format has.
func (k *Key) hasParameters() bool {
	switch k.format {
	case FormatScrypt:
		return k.kdf.name == "scrypt" && k.kdf.checkScrypt() == nil && len(k.salt) >= saltLength && len(k.salt) <= maxSalt
	case FormatC:
		return k.kdf == cKDF && len(k.salt) == cSaltLength
	}
	return (k.kdf == cKDF || k.kdf == olderCKDF) && len(k.salt) == cSaltLength
}
