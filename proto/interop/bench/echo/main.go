// Echo is the floor of oidc-agent: a Go server that accepts, reads, writes and closes.
package main

import (
	"log"
	"net"
	"os"
)

func main() {
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer conn.Close()
			buf := make([]byte, 4096)
			if n, err := conn.Read(buf); err == nil {
				conn.Write(buf[:n])
			}
		}()
	}
}
