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
	armorEnd   = "\n-----END PGP MESSAGE-----"

	// maxGPGOutput bounds what gpg may write: a small message can be compressed from a huge one.
	maxGPGOutput = 1 << 20
	// gpgGrace is how long gpg's children may hold its pipes after gpg has ended or was killed.
	gpgGrace = time.Second
)

// decryptGPG leaves out what follows the message (the C tools' version line), and one LF at the plaintext's end,
// which the C tools add when they encrypt.
func decryptGPG(ctx context.Context, file []byte) (secret.Secret, error) {
	message, err := armored(file)
	if err != nil {
		return secret.Secret{}, err
	}
	plaintext, err := runGPG(ctx, message, "--decrypt")
	return secret.New(bytes.TrimSuffix(plaintext, []byte("\n"))), err
}

// encryptGPG encrypts plaintext to a key and returns the whole file, version line included.
func encryptGPG(ctx context.Context, plaintext []byte, keyID string) ([]byte, error) {
	// By default gpg may ask the network for the key that a mail address has.
	args := []string{"--armor", "--no-auto-key-locate", "--recipient=" + keyID}
	if isKeyID(keyID) {
		args = append(args, "--trust-model=always")
	}
	input := append(append(make([]byte, 0, len(plaintext)+1), plaintext...), '\n')
	defer clear(input)
	message, err := runGPG(ctx, input, append(args, "--encrypt")...)
	if err != nil {
		return nil, err
	}
	return append(message, cVersionLine...), nil
}

// isKeyID reports whether name is a short or long key id or a fingerprint of 20 or 32 bytes, 0x before it or not.
func isKeyID(name string) bool {
	b, err := hex.DecodeString(strings.TrimPrefix(name, "0x"))
	return err == nil && (len(b) == 4 || len(b) == 8 || len(b) == 20 || len(b) == 32)
}

// gpgKeyID returns the id, 16 upper-case hex digits, of the first key that file is encrypted to: of an encryption
// subkey as a rule. It reads the Public-Key Encrypted Session Key packet, RFC 9580 section 5.1.1, and needs no gpg.
func gpgKeyID(file []byte) (string, error) {
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
		return "", damaged("its armour is not base64")
	}
	content := sessionKeyPacket(packets)
	if len(content) < 9 || content[0] != 3 {
		return "", damaged("it does not begin with a session key encrypted to a public key, version 3")
	}
	if id := content[1:9]; !bytes.Equal(id, make([]byte, 8)) {
		return fmt.Sprintf("%X", id), nil
	}
	return "", errors.New("the message hides which key it is encrypted to")
}

// sessionKeyPacket returns what follows the header of the first packet, nil where its type is not 1. RFC 9580 section
// 4.2 has two forms of headers, each with lengths of several sizes.
func sessionKeyPacket(b []byte) []byte {
	header := 0
	switch {
	case len(b) < 2:
	case b[0] >= 0x84 && b[0] <= 0x86: // legacy form, a length of 1, 2 or 4 bytes
		header = 1 + 1<<(b[0]&3)
	case b[0] != 0xc1:
	case b[1] < 192:
		header = 2
	case b[1] < 224:
		header = 3
	case b[1] == 255:
		header = 6
	}
	if header == 0 || len(b) < header {
		return nil
	}
	return b[header:]
}

// armored cuts the message out of file, with its first and last line.
func armored(file []byte) ([]byte, error) {
	if !bytes.HasPrefix(file, []byte(armorBegin)) {
		return nil, fmt.Errorf("no gpg message: %w", ErrFormat)
	}
	end := bytes.Index(file, []byte(armorEnd))
	if end < 0 {
		return nil, damaged("its end is missing")
	}
	return append(file[:end:end], armorEnd+"\n"...), nil
}

// runGPG runs gpg with input on its stdin and returns its stdout. --batch keeps it from asking on the terminal; its
// agent's pinentry still can.
func runGPG(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "gpg", append([]string{"--batch", "--quiet"}, args...)...)
	var stdout output
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = bytes.NewReader(input), &stdout, &stderr, gpgGrace
	err := cmd.Run()
	defer clear(stdout.Bytes())
	switch {
	case err == nil:
		return bytes.Clone(stdout.Bytes()), nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case stdout.Len() > maxGPGOutput: // err says only that gpg lost its pipe
		err = fmt.Errorf("more than %d bytes of output", maxGPGOutput)
	case stderr.Len() > 0:
		lines := strings.ReplaceAll(strings.TrimSpace(stderr.String()), "gpg: ", "")
		err = fmt.Errorf("%w: %s", err, strings.ReplaceAll(lines, "\n", "; "))
	}
	return nil, fmt.Errorf("gpg: %w", err)
}

// An output collects what may be a secret, in memory that never moves and so leaves no copy behind.
type output struct{ bytes.Buffer }

// ReadFrom implements io.ReaderFrom: os/exec fills an output through it, without a buffer of its own between.
func (o *output) ReadFrom(r io.Reader) (int64, error) {
	o.Grow(maxGPGOutput + 1 + bytes.MinRead)
	n, err := o.Buffer.ReadFrom(io.LimitReader(r, maxGPGOutput+1))
	if n > maxGPGOutput {
		err = io.ErrShortWrite
	}
	return n, err
}
