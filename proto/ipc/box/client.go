package box

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// DefaultPort is where a remote agent listens if its address names no port.
const DefaultPort = "42424"

// EnvRemote is the environment variable that names a remote agent, HOST or HOST:PORT.
const EnvRemote = "OIDC_REMOTE_SOCK"

// Call asks the agent at HOST[:PORT], or at the Unix socket if the address is an absolute path, in the encrypted form.
// The answer may tell a failure: see ipc.Check. The context bounds the whole call. The error wraps ipc.ErrNoAnswer or
// ipc.ErrBadAnswer, or is the network's.
func Call(ctx context.Context, address string, request *cjson.Object) (*cjson.Object, error) {
	conn, err := dial(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("could not connect to oidc-agent at %q: %w", address, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	data := request.Compact()
	defer clear(data) // requests may hold passwords
	answer, err := exchange(conn, data)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the agent at %q: %w", address, err)
	}
	return answer, nil
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	if strings.HasPrefix(address, "/") {
		return d.DialContext(ctx, "unix", address)
	}
	return d.DialContext(ctx, "tcp", remoteAddress(address))
}

// remoteAddress adds the default port to an address without one.
func remoteAddress(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), DefaultPort)
}

// exchange makes the channel and sends the request through it. The agent may answer with a plain failure at any time.
func exchange(conn io.ReadWriter, request []byte) (*cjson.Object, error) {
	own, public, err := newKey()
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(public); err != nil {
		return nil, err
	}
	o, err := readOpening(conn, func() {}) // the context bounds it
	switch {
	case err == io.EOF:
		return nil, ipc.ErrNoAnswer
	case err != nil:
		return nil, badAnswer(err)
	case o.object:
		return ipc.Answer(io.MultiReader(bytes.NewReader(o.start), conn))
	}
	c, err := newChannel(own, o.start)
	if err != nil {
		return nil, badAnswer(err)
	}
	if _, err := conn.Write(c.seal(request)); err != nil {
		return nil, err
	}
	return readAnswer(conn, c, o.rest)
}

// readAnswer reads a frame or a plain object, of which rest is known.
func readAnswer(conn io.Reader, c *channel, rest []byte) (*cjson.Object, error) {
	var err error
	for len(rest) == 0 {
		if rest, err = readMore(conn, rest); err == io.EOF {
			return nil, ipc.ErrNoAnswer
		} else if err != nil {
			return nil, err
		}
	}
	if rest[0] == '{' {
		return ipc.Answer(io.MultiReader(bytes.NewReader(rest), conn))
	}
	frame, err := readFrame(conn, rest, ipc.MaxAnswer)
	if err != nil {
		return nil, badAnswer(err)
	}
	message, err := c.open(frame)
	if err != nil {
		return nil, badAnswer(err)
	}
	return ipc.Answer(bytes.NewReader(message))
}

// badAnswer marks what the agent sent, not what the network did to it.
func badAnswer(err error) error {
	var network net.Error
	if errors.As(err, &network) {
		return err
	}
	return fmt.Errorf("%w: %w", ipc.ErrBadAnswer, err)
}
