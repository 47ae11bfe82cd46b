package crypt

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"oidc-agent/proto/secret"
)

const (
	armorBegin = "-----BEGIN PGP MESSAGE-----"
	armorEnd   = "-----END PGP MESSAGE-----"

	// maxGPGOutput bounds what gpg may write: a small message can be compressed from a huge one.
	maxGPGOutput = 1 << 20
	// gpgGrace is how long gpg's children may hold its pipes after gpg has ended or was killed.
	gpgGrace = time.Second
)

var errGPGOutput = fmt.Errorf("more than %d bytes of output", maxGPGOutput)

// DecryptGPG decrypts an armoured message through the gpg program, whose agent may ask for a passphrase until ctx
// ends. What follows the message (the C tools' version line) is left out, and so is one LF at the plaintext's end,
// which the C tools add when they encrypt. The error holds what gpg wrote on stderr.
func DecryptGPG(ctx context.Context, file []byte) (secret.Secret, error) {
	message, err := armored(file)
	if err != nil {
		return secret.Secret{}, err
	}
	plaintext, err := runGPG(ctx, message, "--decrypt")
	if err != nil {
		return secret.Secret{}, err
	}
	return secret.New(bytes.TrimSuffix(plaintext, []byte("\n"))), nil
}

// OpenAny decrypts a file of any format and returns what opens it again: through gpg, as [DecryptGPG] does, or as
// [Open] does with each password with which ask calls try, until that returns no error.
func OpenAny(ctx context.Context, file []byte, ask func(try func(password secret.Secret) error) error) (text secret.Secret, key FileKey, err error) {
	format, err := Detect(file)
	if err != nil {
		return text, nil, err
	}
	if format != FormatGPG {
		err = ask(func(password secret.Secret) (err error) {
			text, key, err = Open(file, password)
			return err
		})
		return text, key, err
	}
	id, err := GPGKeyID(file)
	if err != nil {
		return text, nil, err
	}
	text, err = DecryptGPG(ctx, file)
	return text, GPGKey(id), err
}

// EncryptGPG encrypts plaintext to a key through the gpg program and returns the whole file, version line included.
// keyID is a key id or a fingerprint in hex, as GPGKeyID returns it; other names of a key work where gpg trusts that
// key, while hex says exactly which key is meant.
func EncryptGPG(ctx context.Context, plaintext []byte, keyID string) ([]byte, error) {
	if keyID == "" {
		return nil, errors.New("no gpg key to encrypt to")
	}
	// By default gpg may ask the network for the key that a mail address has.
	args := []string{"--armor", "--no-auto-key-locate", "--recipient", keyID}
	if isKeyID(keyID) {
		args = append(args, "--trust-model", "always")
	}
	input := append(append(make([]byte, 0, len(plaintext)+1), plaintext...), '\n')
	defer clear(input)
	message, err := runGPG(ctx, input, append(args, "--encrypt")...)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(message, "%s", cVersionLine), nil
}

// isKeyID reports whether name is a short or long key id or a fingerprint of 20 or 32 bytes, 0x before it or not.
func isKeyID(name string) bool {
	b, err := hex.DecodeString(strings.TrimPrefix(name, "0x"))
	return err == nil && (len(b) == 4 || len(b) == 8 || len(b) == 20 || len(b) == 32)
}

// GPGKeyID returns the id, 16 upper-case hex digits, of the first key that file is encrypted to: of an encryption
// subkey as a rule. It reads the Public-Key Encrypted Session Key packet, RFC 9580 section 5.1.1, and needs no gpg.
func GPGKeyID(file []byte) (string, error) {
	message, err := armored(file)
	if err != nil {
		return "", err
	}
	// RFC 9580 section 6.2: headers end at an empty line; a line that begins with = is the checksum.
	_, body, _ := bytes.Cut(message, []byte("\n\n"))
	body, _, _ = bytes.Cut(body, []byte("\n="))
	body, _, _ = bytes.Cut(body, []byte("\n-"))
	packets, err := base64.StdEncoding.AppendDecode(nil, body) // passes over line ends
	if err != nil {
		return "", &DamagedError{"its armour is not base64"}
	}
	content, ok := sessionKeyPacket(packets)
	if !ok || len(content) < 9 || content[0] != 3 {
		return "", &DamagedError{"it does not begin with a session key encrypted to a public key, version 3"}
	}
	if id := content[1:9]; !bytes.Equal(id, make([]byte, 8)) {
		return fmt.Sprintf("%X", id), nil
	}
	return "", errors.New("the message hides which key it is encrypted to")
}

// sessionKeyPacket returns what follows the header of the first packet, whose type must be 1. The header is that of
// RFC 9580 section 4.2: two forms, each with lengths of several sizes.
func sessionKeyPacket(b []byte) ([]byte, bool) {
	if len(b) < 2 {
		return nil, false
	}
	header := 0
	switch first, length := b[0], b[1]; {
	case first>>2 == 0b100001 && first&3 < 3: // legacy form, type 1, a length of 1, 2 or 4 bytes
		header = 1 + 1<<(first&3)
	case first == 0b11000001 && length < 192:
		header = 2
	case first == 0b11000001 && length < 224:
		header = 3
	case first == 0b11000001 && length == 255:
		header = 6
	}
	if header == 0 || len(b) < header {
		return nil, false
	}
	return b[header:], true
}

// armored cuts the message out of file, with its first and last line.
func armored(file []byte) ([]byte, error) {
	if !bytes.HasPrefix(file, []byte(armorBegin)) {
		return nil, fmt.Errorf("no gpg message: %w", ErrFormat)
	}
	end := bytes.Index(file, []byte("\n"+armorEnd))
	if end < 0 {
		return nil, &DamagedError{"its end is missing"}
	}
	return append(file[:end:end], "\n"+armorEnd+"\n"...), nil
}

// runGPG runs gpg with input on its stdin and returns its stdout. --batch keeps it from asking on the terminal; its
// agent's pinentry still can.
func runGPG(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "gpg", append([]string{"--batch", "--quiet"}, args...)...)
	var stdout secretBuffer
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = bytes.NewReader(input), &stdout, &stderr, gpgGrace
	err := cmd.Run()
	switch {
	case err == nil:
		return stdout.b, nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case len(stdout.b) > maxGPGOutput: // err says only that gpg lost its pipe
		err = errGPGOutput
	case stderr.Len() > 0:
		lines := strings.ReplaceAll(strings.TrimSpace(stderr.String()), "gpg: ", "")
		err = fmt.Errorf("%w: %s", err, strings.ReplaceAll(lines, "\n", "; "))
	}
	clear(stdout.b)
	return nil, fmt.Errorf("gpg: %w", err)
}

// A secretBuffer collects what may be a secret and leaves no copy behind when it grows. os/exec fills it through
// ReadFrom, without a buffer of its own between.
type secretBuffer struct{ b []byte }

var _ io.ReaderFrom = (*secretBuffer)(nil)

func (s *secretBuffer) Write(p []byte) (int, error) {
	n, err := s.ReadFrom(bytes.NewReader(p))
	return int(n), err
}

func (s *secretBuffer) ReadFrom(r io.Reader) (total int64, err error) {
	for {
		s.grow(512)
		n, err := r.Read(s.b[len(s.b):cap(s.b)])
		s.b = s.b[:len(s.b)+n]
		total += int64(n)
		switch {
		case len(s.b) > maxGPGOutput:
			return total, errGPGOutput
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		}
	}
}

// grow makes room for n more bytes.
func (s *secretBuffer) grow(n int) {
	if cap(s.b)-len(s.b) >= n {
		return
	}
	larger := append(make([]byte, 0, 2*cap(s.b)+n), s.b...)
	clear(s.b)
	s.b = larger
}
