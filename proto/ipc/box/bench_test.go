package box

import (
	"net"
	"testing"

	"oidc-agent/proto/cjson"
)

// One request in the encrypted form, from the client's key to the answer.
func BenchmarkHandshake(b *testing.B) {
	question := cjson.New().SetText("request", "check").Compact()
	b.ReportAllocs()
	for b.Loop() {
		client, conn := net.Pipe()
		go ServeConn(conn, patience, func(request []byte) []byte { return request })
		if _, err := exchange(client, question); err != nil {
			b.Fatal(err)
		}
		client.Close()
	}
}
