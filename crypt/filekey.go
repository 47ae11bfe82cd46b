package crypt

import (
	"bytes"
	"context"
	"errors"
	"time"

	"oidc-agent/proto/secret"
)

// FileKey opens a file again and again, and writes it so that the same password, or the same gpg key, goes on
// opening it.
type FileKey interface {
	// Encrypt returns the text of a whole file.
	Encrypt(plaintext []byte) ([]byte, error)
	// Decrypt opens a file that this key has encrypted.
	Decrypt(file []byte) (secret.Secret, error)
	// Marshal returns the key as one line of text, for the agent's socket.
	Marshal() secret.Secret
	// Wipe overwrites what is secret of the key.
	Wipe()
}

var (
	_ FileKey = (*Key)(nil)
	_ FileKey = GPGKey("")
)

// GPGKey is the id of a gpg key, as GPGKeyID returns it. The key itself is the gpg program's.
type GPGKey string

// gpgTimeout bounds a run of gpg for a GPGKey: its agent may ask for a passphrase.
const gpgTimeout = time.Minute

const gpgPrefix = "gpg:"

// Encrypt is EncryptGPG.
func (k GPGKey) Encrypt(plaintext []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), gpgTimeout)
	defer cancel()
	return EncryptGPG(ctx, plaintext, string(k))
}

// Decrypt is DecryptGPG. A file for another gpg key is ErrOtherKey.
func (k GPGKey) Decrypt(file []byte) (secret.Secret, error) {
	if format, err := Detect(file); err != nil {
		return secret.Secret{}, err
	} else if format != FormatGPG {
		return secret.Secret{}, ErrOtherKey
	}
	ctx, cancel := context.WithTimeout(context.Background(), gpgTimeout)
	defer cancel()
	return DecryptGPG(ctx, file)
}

// Marshal returns the id with a mark before it.
func (k GPGKey) Marshal() secret.Secret { return secret.FromString(gpgPrefix + string(k)) }

// Wipe does nothing: an id is no secret.
func (k GPGKey) Wipe() {}

// ParseFileKey reads what the Marshal of a Key or of a GPGKey wrote. The text stays with the caller.
func ParseFileKey(text []byte) (FileKey, error) {
	id, ok := bytes.CutPrefix(text, []byte(gpgPrefix))
	switch {
	case !ok:
		k, err := ParseKey(text)
		if err != nil {
			return nil, err
		}
		return k, nil
	case len(id) == 0 || id[0] == '-':
		return nil, errors.New("a gpg key without an id")
	}
	return GPGKey(id), nil
}
