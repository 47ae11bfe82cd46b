package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// caFile writes the certificate of a test server to a file for Options.CAFile.
func caFile(t testing.TB, srv *httptest.Server) string {
	t.Helper()
	return pemFile(t, t.TempDir(), "ca.pem", srv.Certificate().Raw)
}

func pemFile(t testing.TB, dir, name string, der []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func countNew(n *atomic.Int32) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
}

// testCertificate returns a self-signed certificate.
func testCertificate(t *testing.T, host string, from, to time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Authority"},
		NotBefore: from, NotAfter: to, DNSNames: []string{host}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if host != "" {
		template.IPAddresses = nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTLSErrors(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range []struct {
		name    string
		cert    tls.Certificate
		trusted bool
		version uint16
		want    string
	}{
		{"good", testCertificate(t, "", now.Add(-time.Hour), now.Add(time.Hour)), true, 0, ""},
		{"unknown CA", testCertificate(t, "", now.Add(-time.Hour), now.Add(time.Hour)), false, 0, `its certificate comes from an unknown authority: "CN=Test Authority"`},
		{"wrong host", testCertificate(t, "op.example", now.Add(-time.Hour), now.Add(time.Hour)), true, 0, "its certificate is for another host: cannot validate certificate for 127.0.0.1"},
		{"expired", testCertificate(t, "", now.Add(-2*time.Hour), now.Add(-time.Hour)), true, 0, "its certificate is valid from "},
		{"not yet valid", testCertificate(t, "", now.Add(time.Hour), now.Add(2*time.Hour)), true, 0, "its certificate is valid from "},
		{"TLS 1.1", testCertificate(t, "", now.Add(-time.Hour), now.Add(time.Hour)), true, tls.VersionTLS11, "protocol version not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				io.WriteString(w, `{"issuer":"https://`+req.Host+`","token_endpoint":"https://op.example"}`)
			}))
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{c.cert}, MinVersion: tls.VersionTLS10, MaxVersion: c.version}
			srv.StartTLS()
			defer srv.Close()
			o := Options{}
			if c.trusted {
				o.CAFile = pemFile(t, t.TempDir(), "ca.pem", c.cert.Certificate[0])
			}
			_, err := mustClient(t, o).Discover(t.Context(), srv.URL, "")
			wantText(t, err, c.want)
			if err == nil {
				return
			}
			wantText(t, err, "could not connect to 127.0.0.1:")
			if _, ok := Temporary(err); ok || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is one for a second try, or not one line", err)
			}
		})
	}
}

// The missing authority is the issuer of the last certificate in the server's chain.
func TestMissingAuthority(t *testing.T) {
	t.Parallel()
	chain := []*x509.Certificate{
		{Issuer: pkix.Name{CommonName: "Intermediate"}},
		{Issuer: pkix.Name{CommonName: "Root\x1b[2J"}},
	}
	unknown := x509.UnknownAuthorityError{Cert: chain[0]}
	for err, want := range map[error]string{
		&tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: unknown}: `authority: "CN=Root[2J"`,
		&url.Error{Err: unknown}: `authority: "CN=Intermediate"`,
	} {
		wantText(t, connectionError("op.example", nil, 0, false, err), want)
	}
	invalid := x509.CertificateInvalidError{Cert: chain[0], Reason: x509.NotAuthorizedToSign}
	wantText(t, connectionError("op.example", nil, 0, false, invalid), "its certificate is not valid: ")
	wrong := x509.HostnameError{Certificate: chain[0], Host: "op.example"}
	wantText(t, connectionError("op.example", nil, 0, false, wrong), "its certificate is for another host: certificate is not valid for any names, but wanted to match op.example")
}

func TestConnectionErrors(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	refused := httptest.NewServer(http.NotFoundHandler())
	refused.Close()
	hangUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangUp.Close()
	cutOff := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "{")
	}))
	defer cutOff.Close()
	for _, c := range []struct {
		name, issuer string
		err          error // from the transport, instead of a server
		want         string
		temporary    bool
	}{
		{"refused", refused.URL, nil, "could not connect to " + refused.Listener.Addr().String() + ": connection refused", true},
		{"no TLS there", strings.Replace(plain.URL, "http:", "https:", 1), nil, ": the server does not speak TLS", false},
		{"hang up", hangUp.URL, nil, "closed the connection before its answer was complete", true},
		{"cut off", cutOff.URL, nil, "closed the connection before its answer was complete", true},
		{"unknown host", "https://op.example", &net.DNSError{Name: "op.example", Err: "no such host", IsNotFound: true}, "could not connect to op.example: no such host", false},
		{"name server down", "https://op.example", &net.DNSError{Name: "op.example", Err: "i/o timeout", IsTimeout: true}, "could not connect to op.example: the name server does not answer", true},
		{"name server fails", "https://op.example", &net.DNSError{Name: "op.example", Err: "server misbehaving", IsTemporary: true}, "name server: server misbehaving", true},
		{"unreachable", "https://op.example", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}, "could not connect to op.example: network is unreachable", true},
		{"kernel timeout", "https://op.example", &net.OpError{Op: "dial", Err: syscall.ETIMEDOUT}, "op.example did not answer within", true},
		{"odd one", "https://op.example", errors.New("bad\x1b[2J\nthing"), "could not connect to op.example: bad[2J thing", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{}
			if c.err != nil {
				o.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, c.err })
			}
			_, err := mustClient(t, o).Discover(t.Context(), c.issuer, "")
			wantText(t, err, c.want)
			if _, ok := Temporary(err); ok != c.temporary {
				t.Errorf("temporary %t, want %t", ok, c.temporary)
			}
			if e := new(ConnectionError); !errors.As(err, &e) || e.Unsent == strings.HasPrefix(c.want, "closed") {
				t.Errorf("%#v: whether the request was sent is wrong", err)
			}
			if c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("%#v does not wrap its cause", err)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	client := mustClient(t, Options{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
		cancel()
		return nil, req.Context().Err()
	})})
	_, err := client.Discover(ctx, "https://op.example", "")
	wantText(t, err, "the request to op.example was cancelled")
	if _, ok := Temporary(err); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("%#v", err)
	}
}

func TestCAFile(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, `{"issuer":"https://`+req.Host+`","token_endpoint":"https://op.example"}`)
	}))
	defer srv.Close()
	dir, empty := t.TempDir(), t.TempDir()
	file := pemFile(t, dir, "0a1b2c3d.0", srv.Certificate().Raw)
	if err := os.WriteFile(filepath.Join(dir, "test.signing_policy"), []byte("access_id_CA X509 '/CN=x'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil { // it must not be opened
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{file, ""},
		{dir, ""},
		{empty, "no certificate in CA file"},
		{filepath.Join(dir, "test.signing_policy"), "no certificate in CA file"},
		{filepath.Join(dir, "absent"), "no such file"},
	} {
		client, err := NewClient(Options{CAFile: c.path})
		wantText(t, err, c.want)
		if err == nil {
			_, err := client.Discover(t.Context(), srv.URL, "")
			wantText(t, err, "")
		}
	}
}
