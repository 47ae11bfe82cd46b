package main

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
)

// Each faulty answer of a provider gives an error of one sentence. The account survives it: the next request
// succeeds.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.load("hostile")
	const json, answered = "application/json", "provider answered with HTTP status "
	body := func(status int, media, text string) iam.Fault {
		return iam.Fault{Status: status, Header: map[string]string{"Content-Type": media}, Body: text}
	}
	moved := func(status int, to string) iam.Fault {
		return iam.Fault{Status: status, Header: map[string]string{"Location": to}}
	}
	for _, c := range []struct {
		name  string
		fault iam.Fault
		want  string
	}{
		{"HTML", body(200, "text/html; charset=utf-8", "<html>Sign in</html>"), answered + "200 (text/html), JSON expected"},
		{"HTML, an error", body(500, "text/html", "<html>"), answered + "500 (text/html), JSON expected"},
		{"nothing", body(204, "", ""), answered + "204..."},
		{"half of it", body(200, json, `{"access_token":`), answered + "200 (application/json), JSON expected"},
		{"an array", body(200, json, `[]`), answered + "200 (application/json), JSON expected"},
		{"no token", body(200, json, `{"token_type":"Bearer"}`), answered + `200 (application/json), "access_token" is missing`},
		{"null for a token", body(200, json, `{"access_token":null,"token_type":"Bearer"}`), answered + `200 (application/json), "access_token" is missing`},
		{"a number for a token", body(200, json, `{"access_token":5,"token_type":"Bearer"}`), answered + `200 (application/json), "access_token" is a number, a string expected`},
		{"an object for an expiry", body(200, json, `{"access_token":"a","token_type":"Bearer","expires_in":{}}`), answered + `200 (application/json), "expires_in" is an object, a number expected`},
		{"an error without a code", body(400, json, `{}`), answered + "400 (application/json), without an error code: {}"},
		{"deep", body(200, json, strings.Repeat(`{"a":`, 100000)), answered + "200 (application/json), JSON expected"},
		{"endless", iam.Fault{Endless: true}, answered + "200 (application/json...longer than 1 MiB"},
		{"a gzip bomb", zipped(64 << 20), answered + "200 (application/json), longer than 1 MiB"},
		{"cut off", iam.Fault{Cut: true, Status: 400, Body: `{"error":"x"}`}, "127.0.0.1:...closed the connection before its answer was complete"},
		{"sent elsewhere", moved(307, "https://elsewhere.example/token?x"), answered + `307 (application/json), a redirect to "https://elsewhere.example/token", which is not followed`},
		{"sent to http", moved(308, "http://elsewhere.example/"), answered + `308 (application/json), a redirect to "http://elsewhere.example/", which is not followed`},
		{"sent in a circle", moved(302, "token"), answered + `302 (application/json), a redirect to "token", which is not followed`},
	} {
		c.fault.Path = "token"
		w.idp.Fail(c.fault)
		began := time.Now()
		reply := ask(w.agent, forced("hostile"))
		w.idp.ClearFaults()
		wantSentence(t, c.name, reply, c.want)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: took %v", c.name, took)
		}
		w.must(w.agent, forced("hostile"))
	}
}

// wantSentence checks that an answer is a failure of one line. "..." in the text stands for anything.
func wantSentence(t *testing.T, name string, reply *cjson.Object, text string) {
	t.Helper()
	got := reply.Text("error")
	begin, end, _ := strings.Cut(text, "...")
	if reply.Text("status") != "failure" || !strings.HasPrefix(got, begin) || !strings.HasSuffix(got, end) || strings.ContainsAny(got, "\n\x1b") || len(got) > 500 {
		t.Errorf("%s: answered %.500s, want %q", name, reply.Compact(), text)
	}
}

// zipped is an answer that unpacks to size bytes.
func zipped(size int) iam.Fault {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(bytes.Repeat([]byte(" "), size))
	z.Close()
	return iam.Fault{Status: 200, Header: map[string]string{"Content-Encoding": "gzip", "Content-Type": "application/json"}, Body: b.String()}
}

// certified returns a TLS configuration with a self-signed certificate.
func certified(t *testing.T, host string, from, to time.Time) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "A CA"}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{host}, IPAddresses: []net.IP{net.ParseIP(host)},
	}
	if template.IPAddresses[0] == nil {
		template.IPAddresses = nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// Each fault of a provider's TLS has an error that names it.
func TestHostileTLS(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range []struct {
		name    string
		tls     *tls.Config
		trusted bool
		want    string
	}{
		{"expired", certified(t, "127.0.0.1", now.Add(-48*time.Hour), now.Add(-24*time.Hour)), true, "could not connect to ...its certificate is valid from "},
		{"not yet valid", certified(t, "127.0.0.1", now.Add(24*time.Hour), now.Add(48*time.Hour)), true, "could not connect to ...its certificate is valid from "},
		{"wrong host", certified(t, "elsewhere.example", now.Add(-time.Hour), now.Add(time.Hour)), true, "could not connect to ...its certificate is for another host: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs"},
		{"unknown CA", certified(t, "127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour)), false, `could not connect to ...its certificate comes from an unknown authority: "CN=A CA"`},
		{"no TLS", nil, false, "could not connect to ...the server does not speak TLS"},
		{"TLS 1.1", &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, true, "could not connect to ...protocol version not supported"},
	} {
		w := newWorld(t, iam.Settings{})
		s := httptest.NewUnstartedServer(w.idp)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		if s.TLS = c.tls; c.tls != nil {
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
		config := w.account("tls")
		config.IssuerURL = "https://" + s.Listener.Addr().String()
		if c.trusted {
			config.CertPath = filepath.Join(w.dir, "ca.pem")
			block := &pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}
			if err := os.WriteFile(config.CertPath, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.must(w.agent, addRequest(config, "").SetBool("plain_add", true))
		reply := ask(w.agent, tokenFor("tls"))
		begin, inside, _ := strings.Cut(c.want, "...")
		if got := reply.Text("error"); !strings.HasPrefix(got, begin) || !strings.Contains(got, inside) || strings.Contains(got, "\n") {
			t.Errorf("%s: answered %s, want %q", c.name, reply.Compact(), c.want)
		}
		if n := len(w.idp.Requests()); n != 0 {
			t.Errorf("%s: %d requests arrived", c.name, n)
		}
	}
}

// Faulty answers to discovery give an error, and the refresh token is not sent.
func TestHostileDiscovery(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"disc-junk-html":     "JSON expected",
		"disc-junk-endless":  "longer than 1 MiB",
		"disc-junk-redirect": "connection refused",
		"disc-form":          "not an https URL",
		"issuer-host":        "calls itself",
		"disc-junk-null":     `"token_endpoint" is missing`,
	} {
		w := newWorld(t, iam.Settings{})
		if err := w.idp.Switch(name); err != nil {
			t.Fatal(err)
		}
		w.must(w.agent, addRequest(w.account("discovery"), "").SetBool("plain_add", true))
		patience := int64(20)
		if name == "disc-junk-redirect" {
			patience = 3 // the agent tries again until then
		}
		reply := ask(w.agent, tokenFor("discovery").SetInt("timeout", patience))
		if got := reply.Text("error"); !strings.Contains(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s: answered %s, want %q", name, reply.Compact(), want)
		}
		if w.grants() != 0 {
			t.Errorf("%s: the refresh token was sent", name)
		}
	}
}
