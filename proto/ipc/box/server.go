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
)

// Handler answers one request. Request and answer are JSON objects; the request has an object's form but has not been
// parsed. The handler owns the request's bytes.
type Handler func(ctx context.Context, request []byte) (answer []byte)

// Server serves connections to the agent. The zero value but for Handle is ready.
type Server struct {
	Handle         Handler
	RequestTimeout time.Duration // for a complete request, 10 s if 0
	AnswerTimeout  time.Duration // for writing the answer, 10 s if 0
}

const defaultTimeout = 10 * time.Second

// keyTimeout is how long a key may take once its first bytes are there: it comes in one piece. Without this, a word
// like "hello" would be waited upon as long as half a request is.
const keyTimeout = time.Second

// A Conn is what the server needs of a net.Conn.
type Conn interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// ServeConn serves one connection with the default limits.
func ServeConn(ctx context.Context, conn Conn, handle Handler) error {
	s := Server{Handle: handle}
	return s.ServeConn(ctx, conn)
}

// ServeConn reads the request, plain or encrypted as the client likes, writes the handler's answer in one write, and
// closes the connection. What cannot become a request is answered with a failure at once; one that is not complete in
// time, when the time is over. The context is the handler's, and its end breaks off the reading. The error is for a log; a client
// that leaves without a word is none.
func (s *Server) ServeConn(ctx context.Context, conn Conn) error {
	defer conn.Close()
	deadline := time.Now().Add(orDefault(s.RequestTimeout))
	conn.SetReadDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	request, c, err := s.read(conn, deadline)
	if !stop() {
		return context.Cause(ctx)
	}
	if err == io.EOF {
		return nil
	}
	if err != nil {
		if answer := refusal(err, c != nil); answer != nil {
			s.write(conn, nil, answer.Encode().Compact())
		}
		return fmt.Errorf("reading a request: %w", err)
	}
	if err := s.write(conn, c, s.Handle(ctx, request)); err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	return nil
}

// Reply writes an answer in the plain form, for who has read the request himself, and wipes it.
func Reply(conn Conn, answer []byte) error { return new(Server).write(conn, nil, answer) }

func orDefault(d time.Duration) time.Duration {
	if d == 0 {
		return defaultTimeout
	}
	return d
}

// read returns the request, and the channel if it is encrypted.
func (s *Server) read(conn Conn, deadline time.Time) ([]byte, *channel, error) {
	o, err := readOpening(conn, func() { conn.SetReadDeadline(time.Now().Add(min(keyTimeout, time.Until(deadline)))) })
	if err != nil {
		return nil, nil, err
	}
	if o.object {
		request, err := ipc.ReadObject(conn, o.start, ipc.MaxMessage)
		return request, nil, err
	}
	conn.SetReadDeadline(deadline)
	own, public, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	c, err := newChannel(own, o.start)
	if err != nil {
		return nil, nil, err
	}
	if err := s.writeAll(conn, public); err != nil {
		return nil, nil, err
	}
	frame, err := readFrame(conn, o.rest, ipc.MaxMessage)
	if err != nil {
		return nil, c, err
	}
	request, err := c.open(frame)
	return request, c, err
}

// refusal returns what to tell a client whose request could not be read, nil if there is nobody to tell.
func refusal(err error, encrypted bool) *ipc.Failure {
	var failure *ipc.Failure
	var tooLarge *ipc.TooLargeError
	switch {
	case errors.As(err, &failure):
		return failure
	case errors.Is(err, errBroken):
	case errors.Is(err, errNeither), errors.As(err, &tooLarge), errors.Is(err, cjson.ErrTooDeep):
		return &ipc.Failure{Text: "Bad Request: " + err.Error()}
	case !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case encrypted:
		return errMalformed
	}
	return &ipc.Failure{Text: "Bad Request: could not parse json"}
}

// write writes an answer and wipes it: in the channel if there is one, in any case in one write, because clients take
// what one read brings for the whole. Some read 4096 bytes at a time until they get fewer, and fail when the last piece
// is full: such an answer gets a blank at its end.
func (s *Server) write(conn Conn, c *channel, answer []byte) error {
	const pieceOfClients = 4096
	if len(answer) == 0 {
		answer = []byte(" ") // as the C agent does
	}
	defer func() { clear(answer) }()
	for {
		message := answer
		if c != nil {
			message = c.seal(answer)
		}
		if len(message)%pieceOfClients != 0 {
			return s.writeAll(conn, message)
		}
		longer := append(answer[:len(answer):len(answer)], ' ')
		clear(answer)
		answer = longer
	}
}

func (s *Server) writeAll(conn Conn, message []byte) error {
	conn.SetWriteDeadline(time.Now().Add(orDefault(s.AnswerTimeout)))
	_, err := conn.Write(message)
	return err
}
