package crypt

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/nacl/secretbox"

	"oidc-agent/proto/secret"
)

// A Key decrypts a file and encrypts it again, any number of times. It needs neither the password nor another run of
// the KDF: the salt stays the same, and every write has a fresh nonce. The same password, or the same gpg key, still
// opens the file afterwards. A Key does not print, and is safe for concurrent use until it is wiped.
type Key struct {
	recipe
	derived secret.Secret // from the KDF
	gpgID   string        // of FormatGPG, which has nothing else: the gpg program holds the key itself
}

var (
	errKeyText = errors.New("not the text of a file key")
	errKeyGone = errors.New("the key has been wiped")
)

// NewKey derives the key of a new file, FormatScrypt or FormatC, with a fresh salt. It takes 64 MiB and some 0.2 s.
func NewKey(password secret.Secret, f Format) (*Key, error) {
	salt := make([]byte, 16)
	rand.Read(salt)
	return recipe{f, codecs[f].costs, string(salt)}.derive(password)
}

// GPGKey returns the key of files that the gpg program encrypts. id should be a key id or a fingerprint in hex, which
// says exactly which key is meant. Another name of a key, such as a mail address, works only if gpg trusts that key.
func GPGKey(id string) *Key { return &Key{recipe: recipe{format: FormatGPG}, gpgID: id} }

func (r recipe) derive(password secret.Secret) (*Key, error) {
	derived, err := r.costs.derive(r.format, password.Reveal(), []byte(r.salt), codecs[r.format].keyLength)
	if err != nil {
		return nil, fmt.Errorf("deriving the file's key: %w", err)
	}
	return &Key{recipe: r, derived: secret.New(derived)}, nil
}

// Open decrypts a file with its password and also returns its key. The error is ErrFormat for a file that is not
// encrypted with a password. Our own format is checked in this order: the SHA-256 (ErrDamaged) and the parameters
// (ErrTooCostly) before any work is done, then the header (ErrWrongPassword), then the content (ErrDamaged). In the C
// tools' formats, which lack the SHA-256 and an authenticated header, some damage looks like a wrong password.
func Open(file []byte, password secret.Secret) (secret.Secret, *Key, error) {
	e, err := parse(file)
	if err != nil {
		return secret.Secret{}, nil, err
	}
	text, k, err := e.openWith(password)
	if errors.Is(err, ErrWrongPassword) && e.format == FormatHex {
		e.format, e.costs = formatOlderHex, codecs[formatOlderHex].costs
		text, k, err = e.openWith(password)
	}
	return text, k, err
}

func (e *envelope) openWith(password secret.Secret) (secret.Secret, *Key, error) {
	k, err := e.derive(password)
	if err != nil {
		return secret.Secret{}, nil, err
	}
	text, err := e.open(k.derived.Reveal())
	if err != nil {
		k.Wipe()
		return secret.Secret{}, nil, err
	}
	return secret.New(text), k, nil
}

// OpenAny decrypts a file of any format and also returns its key. For a file that is encrypted with a password it
// calls ask once; ask calls try with each password that it has, until try returns nil, and returns the last error of
// try or one of its own. A gpg message is decrypted by the gpg program, whose agent may prompt for a passphrase until
// ctx ends; ask is not called then, and an error repeats what gpg wrote to its stderr.
func OpenAny(ctx context.Context, file []byte, ask func(try func(password secret.Secret) error) error,
) (text secret.Secret, key *Key, err error) {
	format, err := Detect(file)
	if err != nil {
		return text, nil, err
	}
	if format == FormatGPG {
		id, err := gpgKeyID(file)
		if err == nil {
			text, err = decryptGPG(ctx, file)
		}
		return text, GPGKey(id), err
	}
	err = ask(func(password secret.Secret) (err error) {
		text, key, err = Open(file, password)
		return err
	})
	return text, key, err
}

// Encrypt returns a whole file with plaintext as its content. ctx matters only to the gpg program.
func (k *Key) Encrypt(ctx context.Context, plaintext []byte) ([]byte, error) {
	if k.format == FormatGPG {
		return encryptGPG(ctx, plaintext, k.gpgID)
	}
	if k.derived.IsEmpty() {
		return nil, errKeyGone
	}
	// XSalsa20's nonces can be random: of 2^48 with one key, two are equal with a probability of 2^-97.
	var nonce [nonceLength]byte
	rand.Read(nonce[:])
	return k.encrypt(plaintext, nonce), nil
}

func (k *Key) encrypt(plaintext []byte, nonce [nonceLength]byte) []byte {
	e := &envelope{recipe: k.recipe, nonce: nonce}
	box, check := e.keys(k.derived.Reveal())
	e.box, e.check = secretbox.Seal(nil, plaintext, &nonce, box), check
	return codecs[k.format].text(e)
}

// Decrypt returns the content of a file that was written with this key. The error is ErrOtherKey if the file has
// another format, salt or parameters; otherwise the errors are those of OpenAny. ctx matters only to the gpg program,
// whose agent may prompt for a passphrase until ctx ends.
func (k *Key) Decrypt(ctx context.Context, file []byte) (text secret.Secret, err error) {
	format, err := Detect(file)
	switch {
	case err != nil:
		return text, err
	case (format == FormatGPG) != (k.format == FormatGPG):
		return text, ErrOtherKey
	case format == FormatGPG:
		return decryptGPG(ctx, file)
	}
	e, err := parse(file)
	if err != nil {
		return text, err
	}
	if e.format == FormatHex && k.format == formatOlderHex {
		e.format, e.costs = k.format, k.costs // the file does not say which of the two it is
	}
	switch {
	case e.recipe != k.recipe:
		return text, ErrOtherKey
	case k.derived.IsEmpty():
		return text, errKeyGone
	}
	plaintext, err := e.open(k.derived.Reveal())
	return secret.New(plaintext), err
}

// Format returns the format of the files that the key writes.
func (k *Key) Format() Format { return k.format }

// Wipe overwrites the derived bytes. Afterwards Encrypt and Decrypt return an error.
func (k *Key) Wipe() { k.derived.Wipe() }

// Marshal returns a line of text to send over the agent's socket: FORMAT COST COST COST SALT:KEY with salt and key in
// base64, or gpg:ID.
func (k *Key) Marshal() secret.Secret {
	if k.format == FormatGPG {
		return secret.FromString("gpg:" + k.gpgID)
	}
	text := fmt.Appendf(nil, "%v %d %d %d %s:", k.format, k.costs[0], k.costs[1], k.costs[2], encode64([]byte(k.salt)))
	text = slices.Grow(text, 256) // more than any key needs: growing later would leave a copy of it in memory
	return secret.New(base64.StdEncoding.AppendEncode(text, k.derived.Reveal()))
}

// ParseKey reads the text that Marshal returns. The caller still owns and wipes it. An error does not show it.
func ParseKey(text []byte) (*Key, error) {
	head, tail, _ := bytes.Cut(text, []byte(":"))
	if string(head) == "gpg" && len(tail) > 0 {
		return GPGKey(string(tail)), nil
	}
	var name string
	var salt []byte
	k := new(Key)
	_, err := fmt.Sscan(string(head), &name, &k.costs[0], &k.costs[1], &k.costs[2], &salt)
	f := slices.IndexFunc(codecs[:], func(c codec) bool { return c.name == name })
	if f < 0 || err != nil {
		return nil, errKeyText
	}
	k.salt = string(decodeLoosely(salt))
	k.format, k.derived = Format(f), secret.New(exactly(codecs[f].keyLength, tail, base64.StdEncoding.AppendDecode))
	if k.derived.IsEmpty() {
		return nil, errKeyText
	}
	// The costs and the salt are valid if the key opens what it writes.
	if _, err := k.Decrypt(context.Background(), k.encrypt(nil, [nonceLength]byte{})); err != nil {
		k.Wipe()
		return nil, errKeyText
	}
	return k, nil
}
