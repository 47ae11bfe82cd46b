// Package ipc is the protocol on the agent's socket: JSON objects, one request and one answer for each connection,
// as the C programs speak it. The commands import it to ask the agent: start with [Call], then [Check]. The agent
// imports it to read requests, and for the names of the protocol. oidc-token uses it on its hot path, so ipc
// imports nothing heavy and uses plain system calls. The encrypted form of the protocol is in the package box.
package ipc

import (
	"io"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// The largest messages in bytes. The C agents fail beyond 150 kB. Answers may be larger than requests, because
// they hold account configurations with what the provider sent.
const (
	MaxMessage = 1 << 20  // a request that an agent accepts
	MaxAnswer  = 16 << 20 // an answer that a client accepts
)

// ReadObject reads a JSON object of up to limit bytes, the first of which may be known already. The protocol has
// neither a length nor a terminator, so the message ends where the object does, however many reads it takes. What
// follows it is dropped. The error is a *[cjson.SyntaxError] as soon as the message cannot be an object or is too
// long, or an error of [Read].
func ReadObject(r io.Reader, known []byte, limit int) ([]byte, error) {
	var s cjson.Scanner
	object, _, err := Read(r, known, func(buf []byte) (int, error) {
		end, err := s.End(buf)
		if err == nil && (end > limit || end == 0 && len(buf) > limit) {
			err = TooLong(limit)
		}
		return end, err
	})
	return object, err
}

// TooLong returns the error of a message that is longer than its limit in bytes.
func TooLong(limit int) error {
	return &cjson.SyntaxError{Offset: limit, What: "the message is too long"}
}

// Read reads a message, the first bytes of which may be known already. The function end gets all that has been
// read and returns the length of the message, or 0 if it is incomplete. Read also returns what followed the
// message in the same read. The error is that of end or of r, with io.EOF if there was no message at all and
// io.ErrUnexpectedEOF if only a part arrived. Since a message may hold a password, Read wipes every buffer that it
// does not return.
func Read(r io.Reader, known []byte, end func([]byte) (int, error)) (message, rest []byte, err error) {
	buf := known
	defer func() {
		if err != nil {
			clear(buf)
		}
	}()
	for {
		n, err := end(buf)
		if err != nil {
			return nil, nil, err
		}
		if n > 0 {
			return buf[:n:n], buf[n:], nil
		}
		buf = secret.Grow(buf, 512)
		n, err = r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF && len(buf) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && n == 0 { // otherwise the next Read returns it again
			return nil, nil, err
		}
	}
}
