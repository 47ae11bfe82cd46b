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

	// maxGPGOutput limits what gpg may write: a small message may be a huge one compressed.
	maxGPGOutput = 1 << 20
)

// decryptGPG ignores what follows the message (the C tools' version line) and removes one LF from the end of the
// plaintext, which the C tools add when they encrypt.
func decryptGPG(ctx context.Context, file []byte) (secret.Secret, error) {
	message, err := armored(file)
	if err != nil {
		return secret.Secret{}, err
	}
	plaintext, err := runGPG(ctx, message, "--decrypt")
	return secret.New(bytes.TrimSuffix(plaintext, []byte("\n"))), err
}

// encryptGPG encrypts plaintext to a key and returns the whole file, including the C tools' version line.
func encryptGPG(ctx context.Context, plaintext []byte, keyID string) ([]byte, error) {
	// By default gpg may search the network for the key of a mail address.
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

// isKeyID reports whether name is a short or long key id or a fingerprint of 20 or 32 bytes, with or without 0x.
func isKeyID(name string) bool {
	b, err := hex.DecodeString(strings.TrimPrefix(name, "0x"))
	return err == nil && (len(b) == 4 || len(b) == 8 || len(b) == 20 || len(b) == 32)
}

// gpgKeyID returns the id (16 upper-case hex digits) of the first key that file is encrypted to, usually a subkey. It
// reads the Public-Key Encrypted Session Key packet (RFC 9580 section 5.1.1) and does not need gpg.
func gpgKeyID(file []byte) (string, error) {
	message, err := armored(file)
	if err != nil {
		return "", err
	}
	// RFC 9580 section 6.2: an empty line ends the headers; a line that begins with = is the checksum.
	_, body, _ := bytes.Cut(message, []byte("\n\n"))
	body, _, _ = bytes.Cut(body, []byte("\n="))
	body, _, _ = bytes.Cut(body, []byte("\n-"))
	packets, err := base64.StdEncoding.AppendDecode(nil, body) // ignores line ends
	if err != nil {
		return "", damaged("its armor is not base64")
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

// sessionKeyPacket returns the bytes after the header of the first packet, or nil if its type is not 1. RFC 9580
// section 4.2 has two forms of headers, with lengths of several sizes.
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

// armored returns the message in file, from its first line to its last.
func armored(file []byte) ([]byte, error) {
	if !bytes.HasPrefix(file, []byte(armorBegin)) {
		return nil, fmt.Errorf("not a gpg message: %w", ErrFormat)
	}
	end := bytes.Index(file, []byte(armorEnd))
	if end < 0 {
		return nil, damaged("its end is missing")
	}
	return append(file[:end:end], armorEnd+"\n"...), nil
}

// runGPG runs gpg with input on its stdin and returns its stdout. --batch prevents gpg from prompting on the
// terminal; gpg-agent can still run a pinentry.
func runGPG(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "gpg", append([]string{"--batch", "--quiet"}, args...)...)
	var stdout output
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	cmd.WaitDelay = time.Second // children of gpg may still have its pipes open
	err := cmd.Run()
	defer clear(stdout.Bytes())
	switch {
	case err == nil:
		return bytes.Clone(stdout.Bytes()), nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case stdout.Len() > maxGPGOutput: // err says only that the pipe was closed
		err = fmt.Errorf("more than %d bytes of output", maxGPGOutput)
	case stderr.Len() > 0:
		lines := strings.ReplaceAll(strings.TrimSpace(stderr.String()), "gpg: ", "")
		err = fmt.Errorf("%w: %s", err, strings.ReplaceAll(lines, "\n", "; "))
	}
	return nil, fmt.Errorf("gpg: %w", err)
}

// An output collects what may be a secret. Its buffer never grows, so no copy of the secret is left in memory.
type output struct{ bytes.Buffer }

// ReadFrom implements io.ReaderFrom, which os/exec uses instead of a buffer of its own.
func (o *output) ReadFrom(r io.Reader) (int64, error) {
	o.Grow(maxGPGOutput + 1 + bytes.MinRead)
	n, err := o.Buffer.ReadFrom(io.LimitReader(r, maxGPGOutput+1))
	if n > maxGPGOutput {
		err = io.ErrShortWrite
	}
	return n, err
}
