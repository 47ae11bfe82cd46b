package crypt

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/nacl/secretbox"
)

// Our format is text, a line for each concern:
//
//	oidc-agent account file v1
//	scrypt N=65536 r=8 p=1 salt=BASE64
//	nonce BASE64
//	hmac-sha256 BASE64
//	BASE64, in lines of 64 characters
//	sha256 HEX
//
// One scrypt run gives 64 bytes. The first 32 are the HMAC key of the three lines above the hmac-sha256 line:
// they tell a wrong password. The other 32 open the body (secretbox). The last line is a plain SHA-256 of all
// bytes above it, which anyone can compute: it tells damage, and is looked at first. Each text has only one way
// to be written; anything else is refused. The C tools find no version and no colon in it and so give up.
const (
	magic      = "oidc-agent account file v"
	version    = "1"
	nonceLabel = "nonce "
	macLabel   = "hmac-sha256 "
	sumLabel   = "sha256 "

	bodyColumns = 64
	nonceLength = 24
	saltLength  = 16 // of what we write; what we read may have more
	maxSalt     = 64
)

// parseScrypt takes a file of ours apart, in the order that the comment above gives.
func parseScrypt(file []byte) (*envelope, error) {
	content, err := checkSum(file)
	if err != nil {
		return nil, err
	}
	lines := bytes.SplitN(content, []byte("\n"), 5)
	if v, ok := bytes.CutPrefix(lines[0], []byte(magic)); !ok || string(v) != version {
		return nil, fmt.Errorf("file of version %.20q: %w", v, ErrFormat)
	}
	if len(lines) < 5 {
		return nil, &DamagedError{"lines are missing"}
	}
	f, salt, err := parseScryptLine(lines[1])
	if err != nil {
		return nil, err
	}
	e := &envelope{format: FormatScrypt, kdfs: []kdf{f}, salt: salt}
	nonce, okNonce := labelled(lines[2], nonceLabel, nonceLength)
	mac, okMAC := labelled(lines[3], macLabel, sha256.Size)
	body, okBody := unwrap(lines[4])
	if !okNonce || !okMAC || !okBody || len(body) < secretbox.Overhead {
		return nil, &DamagedError{"line 3, line 4 or the body is not as it was written"}
	}
	copy(e.nonce[:], nonce)
	e.mac, e.box = mac, body
	return e, nil
}

// checkSum compares the last line with what stands above it, and returns that. A file whose last LF was lost on
// the way is taken as whole.
func checkSum(file []byte) ([]byte, error) {
	text := bytes.TrimSuffix(file, []byte("\n"))
	start := bytes.LastIndexByte(text, '\n') + 1
	sum, ok := bytes.CutPrefix(text[start:], []byte(sumLabel))
	if !ok || len(sum) != 2*sha256.Size {
		return nil, &DamagedError{"its end is missing"}
	}
	if want := sha256.Sum256(text[:start]); string(sum) != hex.EncodeToString(want[:]) {
		return nil, &DamagedError{"its checksum does not fit its content"}
	}
	return text[:start], nil
}

// parseScryptLine reads "scrypt N=65536 r=8 p=1 salt=BASE64" and checks the limits.
func parseScryptLine(line []byte) (f kdf, salt []byte, err error) {
	fields := bytes.Split(line, []byte(" "))
	if string(fields[0]) != "scrypt" {
		return f, nil, fmt.Errorf("key derivation %.20q: %w", fields[0], ErrFormat)
	}
	malformed := &DamagedError{"line 2 is not as it was written"}
	if len(fields) != 5 {
		return f, nil, malformed
	}
	f.name = "scrypt"
	for i, name := range [...]string{"N=", "r=", "p="} {
		value, ok := bytes.CutPrefix(fields[1+i], []byte(name))
		if f.costs[i], err = parseCost(value); !ok || errors.Is(err, errCostFormat) {
			return f, nil, malformed
		}
		if err != nil {
			return f, nil, err
		}
	}
	text, ok := bytes.CutPrefix(fields[4], []byte("salt="))
	salt, okSalt := decode64(text)
	if !ok || !okSalt || len(salt) < saltLength || len(salt) > maxSalt {
		return f, nil, malformed
	}
	return f, salt, f.checkScrypt()
}

// header is what the HMAC authenticates.
func (e *envelope) header() []byte {
	c := e.kdfs[0].costs
	return fmt.Appendf(nil, "%s%s\nscrypt N=%d r=%d p=%d salt=%s\n%s%s\n",
		magic, version, c[0], c[1], c[2], encode64(e.salt), nonceLabel, encode64(e.nonce[:]))
}

func scryptText(e *envelope) []byte {
	text := fmt.Appendf(e.header(), "%s%s\n", macLabel, encode64(e.mac))
	text = wrap(text, encode64(e.box))
	return fmt.Appendf(text, "%s%x\n", sumLabel, sha256.Sum256(text))
}

func sealScrypt(e *envelope, derived, plaintext []byte) {
	e.mac = headerMAC(derived, e.header())
	e.box = sealBox(plaintext, &e.nonce, derived[32:])
}

func openScrypt(e *envelope, derived []byte) ([]byte, error) {
	if !hmac.Equal(e.mac, headerMAC(derived, e.header())) {
		return nil, ErrWrongPassword
	}
	plaintext, ok := secretbox.Open(nil, e.box, &e.nonce, (*[32]byte)(derived[32:]))
	if !ok {
		return nil, &DamagedError{"its body was changed"}
	}
	return plaintext, nil
}

func headerMAC(derived, header []byte) []byte {
	h := hmac.New(sha256.New, derived[:32])
	h.Write(header)
	return h.Sum(nil)
}

// sealBox is secretbox's XSalsa20-Poly1305. Its 24-byte nonce is chosen at random for every message: under one key, two
// nonces meet with a probability of 2^-97 after 2^48 writes.
func sealBox(plaintext []byte, nonce *[nonceLength]byte, key []byte) []byte {
	return secretbox.Seal(nil, plaintext, nonce, (*[32]byte)(key))
}
