// Package box is the encrypted form of the protocol on the agent's socket: an X25519 key each way, then the request and
// the answer in NaCl boxes. The C programs speak nothing else; ours speak it over TCP. The keys are anonymous, so it
// keeps listeners out and nobody else. The agent enters through ServeConn, which takes both forms; the commands through
// Call. It imports net, so oidc-token does not enter but for a remote agent.
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

// A frame is LEN:NONCE:BOX with LEN, in decimal, the length of the plaintext in bytes, and the rest in standard base64.
const (
	nonceSize = 24
	nonceText = nonceSize / 3 * 4 // base64
	keyText   = 44                // base64 of 32 bytes, with padding
	maxDigits = 9
)

// The failures of the channel, with the texts of the C agent, whose clients may know them.
var (
	errSuspicious = &ipc.Failure{Text: "received suspicious public key"}
	errMalformed  = &ipc.Failure{Text: "internal error: ipc encrypted message malformed"}
	errDecryption = &ipc.Failure{Text: "decryption failed"}
)

// channel is the key that both sides derive.
type channel struct{ key [32]byte }

// newKey makes the key pair for one connection and the text that tells the public key.
func newKey() (*ecdh.PrivateKey, []byte, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	return key, base64.StdEncoding.AppendEncode(nil, key.PublicKey().Bytes()), nil
}

// newChannel derives the key from ours and the peer's public key in base64. It is that of NaCl's crypto_box_beforenm,
// which looks at no key, so we do: the error is errSuspicious for one that leaves the shared point no choice (zero and
// the other points of low order), errMalformed for no key.
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

// seal returns the frame of a message. The nonce is random: 24 bytes do not repeat, and a key lives for two frames.
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

// open returns the message of a frame, or errMalformed or errDecryption.
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

// frameEnd returns the function that finds the end of a frame, for a message of at most limit bytes. It checks the
// length before the rest is waited for.
func frameEnd(limit int) func([]byte) (int, error) {
	return func(buf []byte) (int, error) {
		digits, _, complete := bytes.Cut(buf, []byte{':'})
		if len(buf) == 0 {
			return 0, nil
		}
		n, err := strconv.ParseUint(string(digits[:min(len(digits), maxDigits+1)]), 10, 0) // takes no sign
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
	// blanks around messages do no harm, NUL among them: some C clients send the end of their string.
	blanks    = "\x00 \t\r\n"
	maxBlanks = 1024

	base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)

// readOpening reads the beginning of a connection, or of what the agent says: a public key, or the first bytes of an
// object. rest is what came behind them in the same read. What can be neither is not waited for.
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
		case len(bytes.Trim(key[:min(len(key), keyText-1)], base64Digits)) > 0: // the last one is the padding
			return 0, &cjson.SyntaxError{Offset: skipped, What: "neither an object nor a public key"}
		case len(key) == keyText:
			return skipped + keyText, nil
		}
		return 0, nil
	})
	return bytes.TrimLeft(start, blanks), bytes.TrimLeft(rest, blanks), err
}
