// Package ipc is the protocol on the agent's socket: JSON objects, one request and one answer for each connection,
// as the C programs speak it. The commands enter to ask the agent (Call, then Check), the agent for reading requests
// and for the names of the protocol. oidc-token enters on its hot path, so this package imports nothing heavy and
// talks to the socket with plain system calls. The encrypted form is next door, in box. Start with Call.
package ipc

import (
	"io"
	"strconv"

	"oidc-agent/proto/cjson"
)

// Largest messages in bytes. The C agents fail beyond 150 kB; answers may be larger because an account configuration
// is answered as it came from its provider.
const (
	MaxMessage = 1 << 20  // a request that an agent accepts
	MaxAnswer  = 16 << 20 // an answer that a client accepts
)

// TooLargeError is a message beyond its limit.
type TooLargeError struct{ Limit int }

// Error names the limit.
func (e *TooLargeError) Error() string {
	return "message is larger than " + strconv.Itoa(e.Limit) + " bytes"
}

// ReadMessage reads one request: a JSON object of at most MaxMessage bytes. The protocol has neither a length nor a
// terminator, so the object's own end is the end, in how many pieces it may come; what comes behind it is dropped.
// The error is cjson.ErrNotObject as soon as the first byte that is not blank opens no object, a *TooLargeError, io.EOF
// where nothing came, or io.ErrUnexpectedEOF.
func ReadMessage(r io.Reader) ([]byte, error) { return ReadObject(r, nil, MaxMessage) }

// ReadAnswer reads an answer of at most MaxAnswer bytes, in the same way. Most come in one read.
func ReadAnswer(r io.Reader) ([]byte, error) { return ReadObject(r, make([]byte, 0, 4096), MaxAnswer) }

// ReadObject is ReadMessage for a stream whose first bytes are already known, and with another limit.
func ReadObject(r io.Reader, known []byte, limit int) ([]byte, error) {
	var s cjson.Scanner
	buf := known
	for fresh := known; ; {
		start := len(buf) - len(fresh)
		end, done, err := s.Feed(fresh)
		if err != nil {
			return nil, err
		}
		if done && start+end <= limit {
			return buf[:start+end], nil
		}
		if done || len(buf) > limit {
			return nil, &TooLargeError{Limit: limit}
		}
		if fresh, err = readSome(r, &buf); err != nil {
			clear(buf)
			return nil, err
		}
	}
}

// readSome appends what one read brings and returns that part.
func readSome(r io.Reader, buf *[]byte) ([]byte, error) {
	old := len(*buf)
	if cap(*buf)-old < 256 {
		grown := make([]byte, old, max(512, 2*cap(*buf)))
		copy(grown, *buf)
		clear(*buf) // it may hold a password
		*buf = grown
	}
	n, err := r.Read((*buf)[old:cap(*buf)])
	*buf = (*buf)[:old+n]
	switch {
	case n > 0 || err == nil:
		return (*buf)[old:], nil
	case err == io.EOF && old > 0:
		return nil, io.ErrUnexpectedEOF
	}
	return nil, err
}
