// Package box is the encrypted form of the protocol on the agent's socket: each side sends an X25519 public key,
// then the request and the answer follow in NaCl boxes. The C programs speak nothing else; ours use it over TCP.
// The keys are anonymous, so the encryption keeps out those who listen, but not an impostor.
//
// The agent imports it for [ServeConn], which accepts the plain form too, and the commands for [Call]. box imports
// net, so oidc-token uses it for a remote agent only.
package box

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"io"
	"strconv"

	"golang.org/x/crypto/nacl/box"
	"golang.org/x/crypto/nacl/secretbox"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// A frame is LEN:NONCE:BOX. LEN is the length of the plaintext in bytes, in decimal; the rest is in standard base64.
const (
	nonceSize = 24
	nonceText = nonceSize / 3 * 4 // base64
	keyText   = 44                // base64 of 32 bytes, with padding
	maxDigits = 9
)

// The failures of the channel. The texts are the C agent's, because its clients may know them.
var (
	errSuspicious = &ipc.Failure{Text: "received suspicious public key"}
	errMalformed  = &ipc.Failure{Text: "internal error: ipc encrypted message malformed"}
	errDecryption = &ipc.Failure{Text: "decryption failed"}
)

// channel encrypts and decrypts with the key that both sides have derived.
type channel struct{ key [32]byte }

// newKey generates a key pair for one connection, and also returns the public key in base64.
func newKey() (*ecdh.PrivateKey, []byte, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	return key, base64.StdEncoding.AppendEncode(nil, key.PublicKey().Bytes()), nil
}

// newChannel derives the key from our private key and the peer's public key in base64, as crypto_box_beforenm of
// NaCl does. That accepts any public key, so we check it: the error is errSuspicious for a point of low order,
// with which the result would not depend on our key, and errMalformed for anything that is not a key.
func newChannel(own *ecdh.PrivateKey, peer []byte) (*channel, error) {
	decoded, err := base64.StdEncoding.AppendDecode(nil, peer)
	if err != nil {
		return nil, errMalformed
	}
	public, err := ecdh.X25519().NewPublicKey(decoded)
	if err != nil {
		return nil, errMalformed
	}
	if _, err := own.ECDH(public); err != nil { // RFC 7748 section 6.1: the shared point is zero
		return nil, errSuspicious
	}
	var c channel
	box.Precompute(&c.key, (*[32]byte)(decoded), (*[32]byte)(own.Bytes()))
	return &c, nil
}

// seal returns the frame of a message. A random nonce of 24 bytes does not repeat, and a key is used for two
// frames only.
func (c *channel) seal(message []byte) []byte {
	var nonce [nonceSize]byte
	rand.Read(nonce[:]) // never fails, as documented
	return c.sealWith(nonce, message)
}

func (c *channel) sealWith(nonce [nonceSize]byte, message []byte) []byte {
	frame := append(strconv.AppendInt(nil, int64(len(message)), 10), ':')
	frame = append(base64.StdEncoding.AppendEncode(frame, nonce[:]), ':')
	return base64.StdEncoding.AppendEncode(frame, secretbox.Seal(nil, message, &nonce, &c.key))
}

// open returns the message in a frame. The error is errMalformed or errDecryption.
func (c *channel) open(frame []byte) ([]byte, error) {
	fields := bytes.Split(frame, []byte{':'})
	if len(fields) != 3 {
		return nil, errMalformed
	}
	nonce, err := base64.StdEncoding.AppendDecode(nil, fields[1])
	if err != nil || len(nonce) != nonceSize {
		return nil, errMalformed
	}
	sealed, err := base64.StdEncoding.AppendDecode(nil, fields[2])
	if err != nil || string(fields[0]) != strconv.Itoa(len(sealed)-secretbox.Overhead) {
		return nil, errMalformed
	}
	message, ok := secretbox.Open(nil, sealed, (*[nonceSize]byte)(nonce), &c.key)
	if !ok {
		return nil, errDecryption
	}
	return message, nil
}

// frameEnd returns a function for [ipc.Read] that finds the end of a frame, whose message may have up to limit
// bytes. It checks the length before the rest has arrived.
func frameEnd(limit int) func([]byte) (int, error) {
	return func(buf []byte) (int, error) {
		digits, _, complete := bytes.Cut(buf, []byte{':'})
		if len(buf) == 0 {
			return 0, nil
		}
		n, err := strconv.ParseUint(string(digits[:min(len(digits), maxDigits+1)]), 10, 0) // accepts no sign
		end := len(digits) + 1 + nonceText + 1 + base64.StdEncoding.EncodedLen(int(n)+secretbox.Overhead)
		switch {
		case err != nil || len(digits) > maxDigits:
			return 0, errMalformed
		case int(n) > limit:
			return 0, ipc.TooLong(limit)
		case !complete || len(buf) < end:
			return 0, nil
		}
		return end, nil
	}
}

const (
	// blanks may surround a message. NUL is one of them: some C clients send the end of their string.
	blanks    = "\x00 \t\r\n"
	maxBlanks = 1024

	base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)

// readOpening reads what either side sends first: a public key, or the first bytes of an object. It also returns
// what followed in the same read. It fails as soon as the bytes can be neither.
func readOpening(r io.Reader) (start, rest []byte, err error) {
	start, rest, err = ipc.Read(r, nil, func(buf []byte) (int, error) {
		text := bytes.TrimLeft(buf, blanks)
		skipped := len(buf) - len(text)
		key := text[:min(len(text), keyText)]
		switch {
		case skipped > maxBlanks:
			return 0, ipc.TooLong(maxBlanks)
		case bytes.HasPrefix(text, []byte{'{'}):
			return len(buf), nil
		case len(bytes.Trim(key[:min(len(key), keyText-1)], base64Digits)) > 0: // the last byte is padding
			return 0, &cjson.SyntaxError{Offset: skipped, What: "neither an object nor a public key"}
		case len(key) == keyText:
			return skipped + keyText, nil
		}
		return 0, nil
	})
	return bytes.TrimLeft(start, blanks), bytes.TrimLeft(rest, blanks), err
}
