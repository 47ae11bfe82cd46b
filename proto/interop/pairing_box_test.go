package interop

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/nacl/box"
)

// A caller sends one request to an agent's socket and returns the answer.
type caller func(socket, request string) (string, error)

// callPlain reads once, as careless programs do: that must return the whole answer.
func callPlain(socket, request string) (string, error) {
	conn, err := dialAgent(socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		return "", err
	}
	answer, err := readOnce(conn)
	if err != nil {
		return "", err
	}
	if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
		return "", fmt.Errorf("%q comes after the first piece, %q: %w", rest, answer, err)
	}
	return string(answer), checkLength(answer)
}

func dialAgent(socket string) (net.Conn, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(patience))
}

func readOnce(conn net.Conn) ([]byte, error) {
	buf := make([]byte, 1<<20)
	n, err := conn.Read(buf)
	return buf[:n], err
}

// callBox is the channel of the C clients, written from the description of its
// bytes: each side sends a key of 44 characters, then LENGTH:NONCE:BOX.
func callBox(socket, request string) (string, error) {
	conn, err := dialAgent(socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, base64.StdEncoding.EncodeToString(public[:])); err != nil {
		return "", err
	}
	text, err := readOnce(conn)
	if err != nil {
		return "", err
	}
	key, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil || len(key) != 32 {
		return "", fmt.Errorf("the agent's key is %q: %w", text, err)
	}
	var nonce [24]byte
	rand.Read(nonce[:])
	sealed := box.Seal(nil, []byte(request), &nonce, (*[32]byte)(key), private)
	frame := fmt.Sprintf("%d:%s:%s", len(request), base64.StdEncoding.EncodeToString(nonce[:]), base64.StdEncoding.EncodeToString(sealed))
	if _, err := io.WriteString(conn, frame); err != nil {
		return "", err
	}
	if text, err = readOnce(conn); err != nil {
		return "", err
	}
	return openBox(text, (*[32]byte)(key), private)
}

// openBox opens an answer. C sends errors of the channel itself in plain text.
func openBox(frame []byte, key, private *[32]byte) (string, error) {
	if bytes.HasPrefix(frame, []byte("{")) {
		return string(frame), nil
	}
	fields := strings.Split(string(frame), ":")
	if len(fields) != 3 {
		return "", fmt.Errorf("no frame: %q", frame)
	}
	nonce, err1 := base64.StdEncoding.DecodeString(fields[1])
	sealed, err2 := base64.StdEncoding.DecodeString(fields[2])
	if err := errors.Join(err1, err2); err != nil || len(nonce) != 24 {
		return "", fmt.Errorf("no frame: %q: %w", frame, err)
	}
	answer, ok := box.Open(nil, sealed, (*[24]byte)(nonce), key, private)
	if !ok || fmt.Sprint(len(answer)) != fields[0] {
		return "", fmt.Errorf("the box does not open, or its length is wrong: %q", frame)
	}
	return string(answer), checkLength(frame)
}
