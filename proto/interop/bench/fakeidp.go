package main

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"oidc-agent/fakeidp/iam"
)

// benchFakeidp compares refresh grants with the signatures of one core, and with npm's oauth2-mock-server. Seconds are
// CPU time, because other processes may use the core too.
func benchFakeidp(b *bench) {
	file := filepath.Join(b.tempDir(), "clients.json")
	check(os.WriteFile(file, must(json.Marshal(map[string]any{"clients": clients})), 0o600))
	ours := must(filepath.Abs(filepath.Join(b.bin, "fakeidp")))
	var fake, mock [2]func() float64
	for i, alg := range []string{iam.RS256, iam.ES256} {
		fake[i] = b.serve(ours, "--alg="+alg, "--config="+file)
		mock[i] = b.serve("node", "mockserver.mjs", alg)
	}
	var rs, es values
	for range 5 {
		rs.add(floor, signaturesPerSecond(time.Second))
		for i, refreshesPerSecond := range [...][2]func() float64{fake, mock} {
			rs.add(i, refreshesPerSecond[0]())
			es.add(i, refreshesPerSecond[1]())
		}
	}
	b.report("RS256 (instead of C: oauth2-mock-server)", " /s", "signatures", rs, atLeast(0.8, floor))
	b.report("ES256 (instead of C: oauth2-mock-server)", " /s", "", es, atLeast(5000, alone), atLeast(1, peer))
}

// signaturesPerSecond measures Go's signatures with a key like fakeidp's.
func signaturesPerSecond(last time.Duration) float64 {
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	sum := sha256.Sum256([]byte("token"))
	n, before := 0.0, ticks(os.Getpid())
	for start := time.Now(); time.Since(start) < last; n++ {
		must(rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]))
	}
	return n * 100 / (ticks(os.Getpid()) - before)
}

// serve starts a server on the first core and returns a function to measure it: it repeats one request, on enough
// connections to keep the core busy.
func (b *bench) serve(argv ...string) (refreshesPerSecond func() float64) {
	cmd := exec.Command("taskset", append([]string{"-c", "0"}, argv...)...)
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())
	check(cmd.Start())
	b.atEnd(func() { cmd.Process.Kill(); cmd.Wait() })
	issuer := strings.TrimSpace(must(bufio.NewReader(out).ReadString('\n')))
	p := &provider{b: b, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10}}, issuer: strings.TrimSuffix(issuer, "/") + "/"}
	token := p.newRefreshToken("offline_access storage.read:/") // without openid: one signature, not two
	return func() float64 {
		before := ticks(cmd.Process.Pid)
		o := load{clients: 8, last: time.Second, ask: func(int) error {
			text, err := p.post(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
			if err == nil && !strings.Contains(text, `"access_token"`) {
				err = errors.New(text)
			}
			return err
		}}.run()
		check(o.err)
		return float64(len(o.latencies)) * 100 / (ticks(cmd.Process.Pid) - before)
	}
}
