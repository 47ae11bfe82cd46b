package main

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"oidc-agent/fakeidp/iam"
)

// refreshClients are enough to keep one core busy.
const refreshClients = 8

// benchFakeidp compares refresh grants with what one core can sign, and with npm's oauth2-mock-server. A second is one
// of the core's time: others may want some of it.
func benchFakeidp(b *bench) {
	config := must[[]byte](b)(json.Marshal(map[string]any{"clients": []iam.Client{{
		ClientID: "bench", ClientSecret: "words", GrantTypes: []string{"password", "refresh_token"},
	}}}))
	file := filepath.Join(b.tempDir(), "clients.json")
	b.check(os.WriteFile(file, config, 0o600))
	ours := must[string](b)(filepath.Abs(filepath.Join(b.bin, "fakeidp")))
	var fake, mock [2]*served
	for i, alg := range []string{iam.RS256, iam.ES256} {
		fake[i] = b.serve(ours, "--alg="+alg, "--config="+file)
		mock[i] = b.serve("node", "mockserver.mjs", alg)
	}
	var rs, es values
	for range 5 {
		rs.add(floor, signaturesPerSecond(b, time.Second))
		for i, servers := range [...][2]*served{fake, mock} {
			rs.add(i, b.refreshesPerSecond(servers[0], time.Second))
			es.add(i, b.refreshesPerSecond(servers[1], time.Second))
		}
	}
	b.report("RS256 (instead of C: oauth2-mock-server)", " /s", "signatures", rs, atLeast(0.8, floor))
	b.report("ES256 (instead of C: oauth2-mock-server)", " /s", "", es, atLeast(5000, alone), atLeast(1, peer))
}

// signaturesPerSecond is what Go reaches with a key as fakeidp's.
func signaturesPerSecond(b *bench, last time.Duration) float64 {
	key := must[*rsa.PrivateKey](b)(rsa.GenerateKey(rand.Reader, 2048))
	sum := sha256.Sum256([]byte("token"))
	n, before := 0.0, b.ticks(os.Getpid())
	for start := time.Now(); time.Since(start) < last; n++ {
		must[[]byte](b)(rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]))
	}
	return n * 100 / (b.ticks(os.Getpid()) - before)
}

// served is a server on the first core.
type served struct {
	pid                   int
	address, refreshToken string
}

func (b *bench) serve(argv ...string) *served {
	cmd := exec.Command("taskset", append([]string{"-c", "0"}, argv...)...)
	cmd.Stderr = os.Stderr
	out := must[io.ReadCloser](b)(cmd.StdoutPipe())
	b.check(cmd.Start())
	b.atEnd(func() { cmd.Process.Kill(); cmd.Wait() })
	issuer := strings.TrimSpace(must[string](b)(bufio.NewReader(out).ReadString('\n')))
	s := &served{pid: cmd.Process.Pid, address: must[*url.URL](b)(url.Parse(issuer)).Host}
	p := &provider{b: b, client: http.DefaultClient, issuer: issuer}
	s.refreshToken = p.newRefreshToken("offline_access storage.read:/") // without openid: one signature, not two
	return s
}

// refreshesPerSecond sends the same request again and again on a few connections, by a client that costs little.
func (b *bench) refreshesPerSecond(s *served, last time.Duration) float64 {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.refreshToken}, "client_id": {"bench"}, "client_secret": {"words"}}.Encode()
	request := fmt.Appendf(nil, "POST /token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", s.address, len(form), form)
	conns := make([]net.Conn, refreshClients)
	readers := make([]*bufio.Reader, refreshClients)
	for i := range conns {
		conns[i] = must[net.Conn](b)(net.Dial("tcp", s.address))
		defer conns[i].Close()
		readers[i] = bufio.NewReader(conns[i])
	}
	before := b.ticks(s.pid)
	o := load{clients: refreshClients, last: last, ask: func(i int) error {
		if _, err := conns[i].Write(request); err != nil {
			return err
		}
		response, err := http.ReadResponse(readers[i], nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		if err == nil && !bytes.Contains(body, []byte(`"access_token"`)) {
			err = fmt.Errorf("%s: %s", response.Status, body)
		}
		return err
	}}.run()
	b.check(o.err)
	return float64(len(o.latencies)) * 100 / (b.ticks(s.pid) - before)
}
