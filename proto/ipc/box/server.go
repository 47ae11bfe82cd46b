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

// writeTimeout limits the time to write an answer.
const writeTimeout = 10 * time.Second

// Conn is what the server needs of a [net.Conn].
type Conn interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// ServeConn reads one request, in the form that the client chooses, writes the handler's answer, and closes the
// connection. The handler gets a JSON object that has not been parsed, and owns its bytes. ServeConn itself answers
// with a failure: at once if what it reads cannot be a request, and after the patience if the request is incomplete.
// The error is for a log; it is nil if the client leaves without sending anything.
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

// readRequest reads the request, and returns the channel too if it is encrypted.
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

// refusal returns the failure for a client whose request could not be read, or nil if the client has gone.
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

// reply writes an answer and wipes it. It encrypts the answer if there is a channel, and always uses one write,
// because clients take what one read returns for the whole answer. Some clients read 4096 bytes at a time until
// they get fewer, so an answer whose last piece would be full gets a blank at its end.
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
