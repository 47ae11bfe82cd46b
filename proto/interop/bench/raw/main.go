//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Raw is the floor of oidc-token: one plain request with bare system calls, without any features.
package main

import (
	"bytes"
	"os"
	"syscall"
)

func main() {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: os.Getenv("OIDC_SOCK")})
	}
	if err == nil {
		_, err = syscall.Write(fd, []byte(`{"request":"access_token","account":"`+os.Args[1]+`","min_valid_period":0}`))
	}
	answer := make([]byte, 16384)
	n := 0
	for err == nil && !bytes.HasSuffix(answer[:n], []byte("}")) && n < len(answer) {
		var more int
		more, err = syscall.Read(fd, answer[n:])
		if n += more; more <= 0 {
			break
		}
	}
	_, token, found := bytes.Cut(answer[:n], []byte(`"access_token":"`))
	token, _, whole := bytes.Cut(token, []byte(`"`))
	if !found || !whole {
		os.Exit(1)
	}
	syscall.Write(1, append(token, '\n'))
}
