package oidc

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// newTransport returns the transport of all requests. nil roots are the system's, loaded at the first handshake. open
// counts the connections that are still in memory.
func newTransport(roots *x509.CertPool, open *atomic.Int64) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: limitSilence}
	return &http.Transport{
		Proxy:                  environmentProxy,
		OnProxyConnectResponse: checkProxy,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if tcp, ok := conn.(*net.TCPConn); ok {
				open.Add(1)
				runtime.AddCleanup(tcp, func(open *atomic.Int64) { open.Add(-1) }, open)
			}
			return conn, err
		},
		// RFC 9325 section 3.1.1: nothing below TLS 1.2.
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true, // a DialContext of our own would turn it off
		// Scripts ask again within minutes, and a new connection costs two or three round trips.
		IdleConnTimeout:        5 * time.Minute,
		MaxIdleConnsPerHost:    4,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// limitSilence is a net.Dialer's Control: it bounds how long a connection may leave what we sent unacknowledged. After
// a suspend, or behind a firewall that forgets, a kept connection is dead without a word; HTTP/2 would go on using it
// for as long as the kernel repeats itself, which is a quarter of an hour. A kernel that refuses keeps its own limit.
func limitSilence(_, _ string, conn syscall.RawConn) error {
	const tcpUserTimeout, milliseconds = 0x12, 10_000 // TCP_USER_TIMEOUT of Linux: RFC 5482, tcp(7)
	if runtime.GOOS != "linux" {
		return nil
	}
	return conn.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, milliseconds)
	})
}

// maxRoots is the largest file of certificates in bytes, some fifty times what a system has.
const maxRoots = 16 << 20

// loadRoots reads the certificates of a PEM file, or of all files in a directory. Without a path they are the system's
// (or what SSL_CERT_FILE and SSL_CERT_DIR name) and those of the grid; nil: the system's alone.
func loadRoots(path string) (*x509.CertPool, error) {
	files, err := filesAt(cmp.Or(path, os.Getenv("X509_CERT_DIR"), "/etc/grid-security/certificates"))
	pool, found := x509.NewCertPool(), false
	switch {
	case path == "" && (err != nil || len(files) == 0): // not a grid site
		return nil, nil
	case path == "":
		found = true
		if system, err := x509.SystemCertPool(); err == nil {
			pool = system
		}
	case err != nil:
		return nil, fmt.Errorf("CA file: %w", err)
	}
	for _, file := range files {
		data, err := readFile(file, maxRoots)
		if err != nil && file == path {
			return nil, fmt.Errorf("CA file: %w", err)
		}
		// A directory holds policies and revocation lists as well: those are passed over, and what cannot be read is
		// missed at the first handshake that needs it.
		found = pool.AppendCertsFromPEM(data) || found
	}
	if !found {
		return nil, fmt.Errorf("no certificate in CA file %q", path)
	}
	return pool, nil
}

// filesAt lists what is in a directory. What is none stands for itself.
func filesAt(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, syscall.ENOTDIR) {
		return []string{path}, nil
	}
	files := make([]string, len(entries))
	for i, entry := range entries {
		files[i] = filepath.Join(path, entry.Name())
	}
	return files, err
}

// readFile reads a file that an account names. What is no file is refused: nobody may ever write into a pipe, and a
// device may have no end.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%q is not a regular file of at most %d bytes", path, limit)
	}
	return os.ReadFile(path)
}

var errProxyURL = problem{
	"HTTPS_PROXY is not a URL (in a user name or password write %25 for %, %23 for #, %2F for /, %3F for ?)", true,
}

// environmentProxy is http.ProxyFromEnvironment, which makes a direct connection where the variable is no URL.
func environmentProxy(req *http.Request) (*url.URL, error) {
	value := cmp.Or(os.Getenv("HTTPS_PROXY"), os.Getenv("https_proxy")) // http goes to loopback only, without a proxy
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	if _, err := url.Parse(value); err != nil && !isLoopback(req.URL.Hostname()) {
		return nil, errProxyURL
	}
	return http.ProxyFromEnvironment(req)
}

// checkProxy is a transport's OnProxyConnectResponse: it explains an answer to CONNECT (RFC 9110 section 9.3.6) that
// makes no tunnel. A gateway's troubles pass, a prohibition does not.
func checkProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	p := problem{
		fmt.Sprintf("the proxy could not connect (HTTP status %d)", resp.StatusCode),
		resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests,
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired, http.StatusUnauthorized: // tinyproxy says the latter to a wrong password
		p.text = "the proxy asks for a user name and password: start the agent with HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
		if proxy.User != nil {
			p.text = "the proxy does not accept the user name and password in HTTPS_PROXY, as they were when the agent started"
		}
	case http.StatusForbidden:
		p.text = "the proxy does not allow it (HTTP status 403)"
	}
	return p
}
