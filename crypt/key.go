package crypt

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/nacl/secretbox"

	"oidc-agent/proto/secret"
)

// A Key opens a file again and again, and writes it so that the same password, or the same gpg key, goes on opening
// it: no password and no other run of the KDF are needed, the salt stays, each write has a fresh nonce. It does not
// print, and is safe for concurrent use until it is wiped.
type Key struct {
	recipe
	derived secret.Secret // what the KDF gave
	gpgID   string        // of FormatGPG, where there is no more: the key itself is the gpg program's
}

// gpgTimeout bounds a run of gpg for a Key: its agent may ask for a passphrase.
const gpgTimeout = time.Minute

var (
	errKeyText = errors.New("not the text of a file key")
	errKeyGone = errors.New("the key has been wiped")
)

// NewKey derives a key under a fresh salt for a new file, FormatScrypt or FormatC. It takes 64 MiB of memory and
// some 0.2 s.
func NewKey(password secret.Secret, f Format) (*Key, error) {
	salt := make([]byte, 16)
	rand.Read(salt)
	return recipe{f, codecs[f].costs, string(salt)}.derive(password)
}

// GPGKey is the key of files for a key of the gpg program. Its id is a key id or a fingerprint in hex, as in the files;
// other names of a key work where gpg trusts that key, while hex says exactly which key is meant.
func GPGKey(id string) *Key { return &Key{recipe: recipe{format: FormatGPG}, gpgID: id} }

func (r recipe) derive(password secret.Secret) (*Key, error) {
	c := codecs[r.format]
	derived, err := c.derive(password.Reveal(), []byte(r.salt), r.costs, c.keyLength)
	if err != nil {
		return nil, fmt.Errorf("deriving the file's key: %w", err)
	}
	return &Key{recipe: r, derived: secret.New(derived)}, nil
}

// Open decrypts file and returns its key as well. Before any work it looks at the SHA-256 (ErrDamaged) and at the
// parameters (ErrTooCostly), then it authenticates the header (ErrWrongPassword) and the content (ErrDamaged).
// The C tools' formats have no SHA-256 and no authenticated header, so there some damage looks like a wrong password.
// The error is ErrFormat for anything that no password opens.
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

// OpenAny decrypts a file of any format and returns its key as well: as [Open] does with each password with which ask
// calls try, until that returns no error; or through the gpg program, whose agent may ask for a passphrase until ctx
// ends, and whose words on stderr an error holds.
func OpenAny(ctx context.Context, file []byte, ask func(try func(password secret.Secret) error) error,
) (text secret.Secret, key *Key, err error) {
	switch format, err := Detect(file); {
	case err != nil:
		return text, nil, err
	case format == FormatGPG:
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

// Encrypt returns the text of a whole file.
func (k *Key) Encrypt(plaintext []byte) ([]byte, error) {
	if k.format == FormatGPG {
		ctx, cancel := context.WithTimeout(context.Background(), gpgTimeout)
		defer cancel()
		return encryptGPG(ctx, plaintext, k.gpgID)
	}
	if k.derived.IsEmpty() {
		return nil, errKeyGone
	}
	// XSalsa20's nonce of 24 bytes is chosen at random for every message: under one key, two nonces meet with a
	// probability of 2^-97 after 2^48 writes.
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

// Decrypt opens a file that was written with this key. ErrOtherKey: it has another format, salt or parameters, or is
// no message of gpg; otherwise the errors are those of OpenAny.
func (k *Key) Decrypt(file []byte) (text secret.Secret, err error) {
	format, err := Detect(file)
	switch {
	case err != nil:
		return text, err
	case (format == FormatGPG) != (k.format == FormatGPG):
		return text, ErrOtherKey
	case format == FormatGPG:
		ctx, cancel := context.WithTimeout(context.Background(), gpgTimeout)
		defer cancel()
		return decryptGPG(ctx, file)
	}
	e, err := parse(file)
	if err != nil {
		return text, err
	}
	if e.format == FormatHex && k.format == formatOlderHex {
		e.format, e.costs = k.format, k.costs // the file does not tell
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

// Wipe overwrites the derived bytes. Afterwards the key opens and writes nothing: that is an error.
func (k *Key) Wipe() { k.derived.Wipe() }

// Marshal returns the key as one line of text, FORMAT COST COST COST SALT:KEY with salt and key in base64, or gpg:ID.
// It travels on the agent's socket.
func (k *Key) Marshal() secret.Secret {
	if k.format == FormatGPG {
		return secret.FromString("gpg:" + k.gpgID)
	}
	text := fmt.Appendf(nil, "%v %d %d %d %s:", k.format, k.costs[0], k.costs[1], k.costs[2], encode64([]byte(k.salt)))
	text = slices.Grow(text, 256) // longer than any key: it must not move and leave a copy
	return secret.New(base64.StdEncoding.AppendEncode(text, k.derived.Reveal()))
}

// ParseKey reads what Marshal wrote. The text stays with the caller, who wipes it; an error does not show it.
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
	// The costs and the salt are right if the key opens what it writes.
	if _, err := k.Decrypt(k.encrypt(nil, [nonceLength]byte{})); err != nil {
		k.Wipe()
		return nil, errKeyText
	}
	return k, nil
}
