// Package ipc is the protocol on the agent's socket: JSON objects, one request and one answer for each connection,
// as the C programs speak it. The commands enter to ask the agent (Call, then Check), the agent for reading requests
// and for the names of the protocol. oidc-token enters on its hot path, so this package imports nothing heavy and
// talks to the socket with plain system calls. The encrypted form is next door, in box. Start with Call.
package ipc

import (
	"io"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// Largest messages in bytes. The C agents fail beyond 150 kB; answers may be larger because an account configuration
// is answered as it came from its provider.
const (
	MaxMessage = 1 << 20  // a request that an agent accepts
	MaxAnswer  = 16 << 20 // an answer that a client accepts
)

// ReadObject reads a JSON object of at most limit bytes; known are the first of them, if some are. The protocol has
// neither a length nor a terminator, so the object's own end is the end, in how many pieces it may come; what comes
// behind it is dropped. The error is a *cjson.SyntaxError as soon as the first byte that is not blank opens no object,
// or one of Read.
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

// TooLong is the error of a message beyond its limit in bytes.
func TooLong(limit int) error {
	return &cjson.SyntaxError{Offset: limit, What: "the message is too long"}
}

// Read reads a message up to its end, which a function finds in what has been read so far, 0 as long as it is not
// there. It returns what came behind it, too. The error is that of the function, io.EOF where nothing came,
// io.ErrUnexpectedEOF where not all did, or the reader's. A message may hold a password, so nothing is left behind.
func Read(r io.Reader, known []byte, end func([]byte) (int, error)) (message, rest []byte, err error) {
	buf := known
	for err == nil {
		n, wrong := end(buf)
		if n > 0 && wrong == nil {
			return buf[:n:n], buf[n:], nil
		}
		if err = wrong; err == nil {
			buf = secret.Grow(buf, 512)
			n, err = r.Read(buf[len(buf):cap(buf)])
			if buf = buf[:len(buf)+n]; n > 0 {
				err = nil // if there is one, it comes again
			}
		}
	}
	if err == io.EOF && len(buf) > 0 {
		err = io.ErrUnexpectedEOF
	}
	clear(buf)
	return nil, nil, err
}
