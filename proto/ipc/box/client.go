package box

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// defaultPort is where a remote agent listens if its address names no port.
const defaultPort = "42424"

// EnvRemote is the environment variable that names a remote agent, HOST or HOST:PORT.
const EnvRemote = "OIDC_REMOTE_SOCK"

// Call asks the agent at HOST[:PORT], or at the Unix socket if the address is an absolute path, in the encrypted form.
// The answer may tell a failure: see ipc.Check. The context bounds the whole call. The error wraps ipc.ErrNoAnswer or
// an ipc.BadAnswer, or is the network's.
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
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return nil, fmt.Errorf("asking the agent at %q: %w", address, ipc.AnswerError(err))
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	network := "unix"
	if !strings.HasPrefix(address, "/") {
		network, address = "tcp", remoteAddress(address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// remoteAddress adds the default port to an address without one.
func remoteAddress(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), defaultPort)
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
	start, rest, err := readOpening(conn)
	var c *channel
	if err == nil && start[0] != '{' {
		if c, err = newChannel(own, start); err != nil {
			return nil, err
		}
		if _, err := conn.Write(c.seal(request)); err != nil {
			return nil, err
		}
		start, _, err = ipc.Read(conn, rest, func(buf []byte) (int, error) {
			if bytes.HasPrefix(buf, []byte{'{'}) {
				return len(buf), nil
			}
			return frameEnd(ipc.MaxAnswer)(buf)
		})
	}
	if err != nil {
		return nil, err
	}
	if start[0] == '{' {
		return ipc.Answer(io.MultiReader(bytes.NewReader(start), conn))
	}
	message, err := c.open(start)
	if err != nil {
		return nil, err
	}
	return cjson.Parse(message)
}
