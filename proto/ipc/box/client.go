package box

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// defaultPort is where a remote agent listens if its address names no port.
const defaultPort = "42424"

// EnvRemote is the environment variable that names a remote agent, HOST or HOST:PORT.
const EnvRemote = "OIDC_REMOTE_SOCK"

// Call asks the agent at HOST[:PORT], or at the Unix socket if the address is an absolute path, in the encrypted form.
// The answer may tell a failure: see ipc.Check. The whole takes no longer than wait. The error wraps ipc.ErrNoAnswer or
// an ipc.BadAnswer, or is the network's.
func Call(address string, request *cjson.Object, wait time.Duration) (*cjson.Object, error) {
	deadline, network, target := time.Now().Add(wait), "unix", address
	if !strings.HasPrefix(address, "/") {
		network, target = "tcp", remoteAddress(address)
	}
	conn, err := (&net.Dialer{Deadline: deadline}).Dial(network, target)
	if err != nil {
		return nil, fmt.Errorf("could not connect to oidc-agent at %q: %w", address, err)
	}
	defer conn.Close()
	conn.SetDeadline(deadline)
	data := request.Compact()
	defer clear(data) // requests may hold passwords
	answer, err := exchange(conn, data)
	if err != nil {
		err = fmt.Errorf("asking the agent at %q: %w", address, ipc.AnswerError(err))
	}
	return answer, err
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
