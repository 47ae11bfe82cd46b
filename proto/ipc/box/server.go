package box

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// Handler answers one request. Request and answer are JSON objects; the request has an object's form but has not been
// parsed. The handler owns the request's bytes.
type Handler func(ctx context.Context, request []byte) (answer []byte)

const (
	requestTimeout = 10 * time.Second // for a complete request
	answerTimeout  = 10 * time.Second // for writing the answer

	// keyTimeout is how long a key may take once its first bytes are there: it comes in one piece. Without this, a word
	// like "hello" would be waited upon as long as half a request is.
	keyTimeout = time.Second
)

// A Conn is what the server needs of a net.Conn.
type Conn interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// ServeConn reads the request, plain or encrypted as the client likes, writes the handler's answer in one write, and
// closes the connection. What cannot become a request is answered with a failure at once; one that is not complete in
// time, when the time is over. The context is the handler's, and its end breaks off the reading. The error is for a log;
// a client that leaves without a word is none.
func ServeConn(ctx context.Context, conn Conn, handle Handler) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	request, c, err := readRequest(conn, time.Now().Add(requestTimeout))
	if !stop() {
		return context.Cause(ctx)
	}
	if err == io.EOF {
		return nil
	}
	if err != nil {
		if answer := refusal(err, c != nil); answer != nil {
			Reply(conn, answer.Encode().Compact())
		}
		return fmt.Errorf("reading a request: %w", err)
	}
	if err := reply(conn, c, handle(ctx, request)); err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	return nil
}

// readRequest returns the request, and the channel if it is encrypted.
func readRequest(conn Conn, deadline time.Time) ([]byte, *channel, error) {
	conn.SetReadDeadline(deadline)
	start, rest, err := readOpening(conn, func() {
		conn.SetReadDeadline(time.Now().Add(min(keyTimeout, time.Until(deadline))))
	})
	if err != nil {
		return nil, nil, err
	}
	if start[0] == '{' {
		request, err := ipc.ReadObject(conn, start, ipc.MaxMessage)
		return request, nil, err
	}
	conn.SetReadDeadline(deadline)
	own, public, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	c, err := newChannel(own, start)
	if err != nil {
		return nil, nil, err
	}
	if err := write(conn, public); err != nil {
		return nil, nil, err
	}
	frame, _, err := ipc.Read(conn, rest, frameEnd(ipc.MaxMessage))
	if err != nil {
		return nil, c, err
	}
	request, err := c.open(frame)
	return request, c, err
}

// refusal returns what to tell a client whose request could not be read, nil if there is nobody to tell.
func refusal(err error, encrypted bool) *ipc.Failure {
	if failure, ok := errors.AsType[*ipc.Failure](err); ok {
		return failure
	}
	_, malformed := errors.AsType[*cjson.SyntaxError](err)
	switch {
	case malformed:
		return &ipc.Failure{Text: "Bad Request: " + err.Error()}
	case !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case encrypted:
		return errMalformed
	}
	return &ipc.Failure{Text: "Bad Request: could not parse json"}
}

// Reply writes an answer in the plain form, for who has read the request himself, and wipes it.
func Reply(conn Conn, answer []byte) error { return reply(conn, nil, answer) }

// reply writes an answer and wipes it: in the channel if there is one, in any case in one write, because clients take
// what one read brings for the whole. Some read 4096 bytes at a time until they get fewer, and fail when the last piece
// is full: such an answer gets a blank at its end.
func reply(conn Conn, c *channel, answer []byte) error {
	const pieceOfClients = 4096
	if len(answer) == 0 {
		answer = []byte{' '} // as the C agent does
	}
	defer func() { clear(answer) }()
	for {
		message := answer
		if c != nil {
			message = c.seal(answer)
		}
		if len(message)%pieceOfClients != 0 {
			return write(conn, message)
		}
		answer = append(secret.Grow(answer, 1), ' ')
	}
}

func write(conn Conn, message []byte) error {
	conn.SetWriteDeadline(time.Now().Add(answerTimeout))
	_, err := conn.Write(message)
	return err
}
