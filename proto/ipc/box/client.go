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

// defaultPort is the port of a remote agent whose address has none.
const defaultPort = "42424"

// EnvRemote is the environment variable that names a remote agent, HOST or HOST:PORT.
const EnvRemote = "OIDC_REMOTE_SOCK"

// Call sends a request to the agent at HOST[:PORT], or at a Unix socket if the address is an absolute path, and
// returns its answer, which may be a failure: see [ipc.Check]. It waits no longer than wait. The error wraps
// [ipc.ErrNoAnswer], an [ipc.BadAnswer] or an error of the network.
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
	defer clear(data) // it may hold a password
	answer, err := exchange(conn, data)
	if err != nil {
		err = fmt.Errorf("asking the agent at %q: %w", address, ipc.AnswerError(err))
	}
	return answer, err
}

// remoteAddress adds the default port if the address has none.
func remoteAddress(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), defaultPort)
}

// exchange agrees on a key and sends the request in a frame. The agent may answer with a plain failure instead of
// its key or of a frame.
func exchange(conn io.ReadWriter, request []byte) (*cjson.Object, error) {
	own, public, err := newKey()
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(public); err != nil {
		return nil, err
	}
	start, rest, err := readOpening(conn)
	if err != nil {
		return nil, err
	}
	if start[0] == '{' {
		return plainAnswer(start, conn)
	}
	c, err := newChannel(own, start)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(c.seal(request)); err != nil {
		return nil, err
	}
	answer, _, err := ipc.Read(conn, rest, func(buf []byte) (int, error) {
		if bytes.HasPrefix(buf, []byte{'{'}) {
			return len(buf), nil
		}
		return frameEnd(ipc.MaxAnswer)(buf)
	})
	if err != nil {
		return nil, err
	}
	if answer[0] == '{' {
		return plainAnswer(answer, conn)
	}
	message, err := c.open(answer)
	if err != nil {
		return nil, err
	}
	return cjson.Parse(message)
}

// plainAnswer reads the rest of an answer in the plain form.
func plainAnswer(start []byte, conn io.Reader) (*cjson.Object, error) {
	return ipc.Answer(io.MultiReader(bytes.NewReader(start), conn))
}
