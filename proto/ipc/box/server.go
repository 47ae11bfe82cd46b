package box

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// writeTimeout is how long the writing of an answer may take.
const writeTimeout = 10 * time.Second

// A Conn is what the server needs of a net.Conn.
type Conn interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// ServeConn reads a request, plain or encrypted as the client chooses, writes the handler's answer in one write, and
// closes the connection. Input that cannot become a request is answered with a failure at once, an incomplete request
// when patience has passed. The handler receives a JSON object that has not been parsed and owns its bytes. The error
// is for a log; a client that leaves without sending anything is none.
func ServeConn(conn Conn, patience time.Duration, handle func(request []byte) (answer []byte)) error {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	request, c, err := readRequest(conn)
	if err == io.EOF {
		return nil
	}
	if err != nil {
		if answer := refusal(err, c != nil); answer != nil {
			reply(conn, nil, answer.Encode().Compact())
		}
		return fmt.Errorf("reading a request: %w", err)
	}
	if err := reply(conn, c, handle(request)); err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	return nil
}

// readRequest returns the request, and the channel if it is encrypted.
func readRequest(conn Conn) ([]byte, *channel, error) {
	start, rest, err := readOpening(conn)
	if err != nil {
		return nil, nil, err
	}
	if start[0] == '{' {
		request, err := ipc.ReadObject(conn, start, ipc.MaxMessage)
		return request, nil, err
	}
	own, public, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	c, err := newChannel(own, start)
	if err != nil {
		return nil, nil, err
	}
	if _, err := conn.Write(public); err != nil {
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

// reply writes an answer and wipes it: in the channel if there is one, in any case in one write, because clients take
// what one read brings for the whole. Some read 4096 bytes at a time until they get fewer, and fail when the last piece
// is full: such an answer gets a blank at its end.
func reply(conn Conn, c *channel, answer []byte) error {
	const pieceOfClients = 4096
	if len(answer) == 0 {
		answer = []byte{' '} // as the C agent does
	}
	defer func() { clear(answer) }()
	conn.SetDeadline(time.Now().Add(writeTimeout))
	for {
		message := answer
		if c != nil {
			message = c.seal(answer)
		}
		if len(message)%pieceOfClients != 0 {
			_, err := conn.Write(message)
			return err
		}
		answer = append(secret.Grow(answer, 1), ' ')
	}
}
