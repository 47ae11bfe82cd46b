// Package box is the encrypted form of the protocol on the agent's socket: an X25519 key each way, then the request and
// the answer in NaCl boxes. The C programs speak nothing else; ours speak it over TCP. The keys are anonymous, so it
// keeps listeners out and nobody else. The agent enters through Server, which takes both forms; the commands through
// Call. It imports net, so oidc-token does not enter but for a remote agent.
package box

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"strconv"

	"golang.org/x/crypto/nacl/box"
	"golang.org/x/crypto/nacl/secretbox"

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
	frame := strconv.AppendInt(nil, int64(len(message)), 10)
	frame = append(frame, ':')
	frame = base64.StdEncoding.AppendEncode(frame, nonce[:])
	frame = append(frame, ':')
	return base64.StdEncoding.AppendEncode(frame, secretbox.Seal(nil, message, &nonce, &c.key))
}

// open returns the message of a frame, or errMalformed or errDecryption.
func (c *channel) open(frame []byte) ([]byte, error) {
	fields := bytes.Split(frame, []byte{':'})
	if len(fields) != 3 {
		return nil, errMalformed
	}
	size, err := parseLength(fields[0])
	if err != nil {
		return nil, err
	}
	nonce, err := base64.StdEncoding.AppendDecode(nil, fields[1])
	if err != nil || len(nonce) != nonceSize {
		return nil, errMalformed
	}
	sealed, err := base64.StdEncoding.AppendDecode(nil, fields[2])
	if err != nil || len(sealed) != size+secretbox.Overhead {
		return nil, errMalformed
	}
	message, ok := secretbox.Open(nil, sealed, (*[nonceSize]byte)(nonce), &c.key)
	if !ok {
		return nil, errDecryption
	}
	return message, nil
}

// parseLength reads LEN: digits, no sign.
func parseLength(digits []byte) (int, error) {
	if len(digits) == 0 || len(digits) > maxDigits {
		return 0, errMalformed
	}
	n := 0
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, errMalformed
		}
		n = 10*n + int(d-'0')
	}
	return n, nil
}

// frameLength returns how long the frame that begins with buf will be, 0 if LEN is not complete.
func frameLength(buf []byte, limit int) (int, error) {
	digits, _, complete := bytes.Cut(buf, []byte{':'})
	if !complete && len(digits) == 0 {
		return 0, nil
	}
	n, err := parseLength(digits)
	switch {
	case err != nil:
		return 0, err
	case n > limit:
		return 0, &ipc.TooLargeError{Limit: limit}
	case !complete:
		return 0, nil
	}
	return len(digits) + 1 + nonceText + 1 + base64.StdEncoding.EncodedLen(n+secretbox.Overhead), nil
}

// readFrame reads one frame, of which buf is known, for a message of at most limit bytes. It checks the length before
// it waits for the rest.
func readFrame(r io.Reader, buf []byte, limit int) ([]byte, error) {
	for {
		n, err := frameLength(buf, limit)
		if err != nil {
			return nil, err
		}
		if n > 0 && len(buf) >= n {
			return buf[:n], nil
		}
		if buf, err = readMore(r, buf); err != nil {
			return nil, err
		}
	}
}

// readMore appends what one read brings.
func readMore(r io.Reader, buf []byte) ([]byte, error) {
	if cap(buf)-len(buf) < 256 {
		buf = append(make([]byte, 0, max(512, 2*cap(buf))), buf...)
	}
	n, err := r.Read(buf[len(buf):cap(buf)])
	switch {
	case n > 0 || err == nil:
		return buf[:len(buf)+n], nil
	case err == io.EOF && len(buf) > 0:
		return buf, io.ErrUnexpectedEOF
	}
	return buf, err
}

// opening is how a connection, or an answer, begins.
type opening struct {
	object bool   // with a JSON object: this is the plain form
	start  []byte // its first bytes, blanks left out
	rest   []byte // what came behind the public key
}

var (
	errNeither = errors.New("neither a JSON object nor a public key")
	errBroken  = errors.New("what begins as a JSON object is none")
)

// readOpening reads until it is sure whether a JSON object begins or a public key has come. It looks at every byte,
// so that it never waits for the rest of something that can be neither. hurry is called whenever it waits for the rest
// of a key.
func readOpening(r io.Reader, hurry func()) (opening, error) {
	var buf []byte
	for blank := false; ; blank = true {
		more, err := readMore(r, buf)
		if err == io.EOF && blank {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return opening{}, err
		}
		buf = bytes.TrimLeft(more, blanks)
		switch text := buf[:min(len(buf), keyText)]; {
		case len(buf) == 0:
		case buf[0] == '{':
			if inside := bytes.TrimLeft(buf[1:], blanks); len(inside) > 0 && inside[0] != '"' && inside[0] != '}' {
				return opening{}, errBroken
			}
			return opening{object: true, start: buf}, nil
		case !isKey(text):
			return opening{}, errNeither
		case len(text) == keyText:
			return opening{start: text, rest: bytes.TrimLeft(buf[keyText:], blanks)}, nil
		default:
			hurry()
		}
	}
}

// blanks around messages do no harm, NUL among them: some C clients send the end of their string.
const blanks = "\x00 \t\r\n"

// isKey reports whether a public key may begin so.
func isKey(text []byte) bool {
	for i, c := range text {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '+', c == '/', c == '=' && i == keyText-1:
		default:
			return false
		}
	}
	return true
}
