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

// newTransport returns the transport of all requests. If roots is nil the system's CAs are loaded at the first
// handshake. open counts the connections that are still in memory.
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
		// RFC 9325 section 3.1.1: at least TLS 1.2.
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true, // which our DialContext would turn off
		// Scripts send another request within minutes, and a new connection costs two or three round trips.
		IdleConnTimeout:        5 * time.Minute,
		MaxIdleConnsPerHost:    4,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// limitSilence is a net.Dialer's Control. It limits how long sent data may remain unacknowledged. After a suspend, or
// behind a firewall that has forgotten it, an open connection may be dead without notice. HTTP/2 would continue to
// use it for a quarter of an hour, until the kernel gives up, as it still does if it rejects the option.
func limitSilence(_, _ string, conn syscall.RawConn) error {
	const tcpUserTimeout, milliseconds = 0x12, 10_000 // TCP_USER_TIMEOUT of Linux: RFC 5482, tcp(7)
	if runtime.GOOS != "linux" {
		return nil
	}
	return conn.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, milliseconds)
	})
}

// loadRoots loads the CAs in a PEM file or in all files of a directory. If path is empty it loads those of the system
// (or of SSL_CERT_FILE and SSL_CERT_DIR) and of the grid; it returns nil if there are none of the grid.
func loadRoots(path string) (*x509.CertPool, error) {
	files, err := filesAt(cmp.Or(path, os.Getenv("X509_CERT_DIR"), "/etc/grid-security/certificates"))
	pool, found := x509.NewCertPool(), false
	const maxSize = 16 << 20 // some fifty times what a system has
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
		data, err := readFile(file, maxSize)
		if err != nil && file == path {
			return nil, fmt.Errorf("CA file: %w", err)
		}
		// A directory also has policies and revocation lists. If a CA cannot be read, a handshake will say so.
		found = pool.AppendCertsFromPEM(data) || found
	}
	if !found {
		return nil, fmt.Errorf("no certificate in CA file %q", path)
	}
	return pool, nil
}

// filesAt returns the files in a directory, or path itself if it is not a directory.
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

// readFile reads a file that an account names. It must be regular: a pipe may block forever, a device have no end.
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

// environmentProxy is http.ProxyFromEnvironment, which would connect directly if the variable is not a URL.
func environmentProxy(req *http.Request) (*url.URL, error) {
	value := cmp.Or(os.Getenv("HTTPS_PROXY"), os.Getenv("https_proxy")) // http: on loopback only
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	if _, err := url.Parse(value); err != nil && !isLoopback(req.URL.Hostname()) {
		return nil, errProxyURL
	}
	return http.ProxyFromEnvironment(req)
}

// checkProxy is a transport's OnProxyConnectResponse. It explains a response to CONNECT that opens no tunnel (RFC
// 9110 section 9.3.6). A gateway error may pass, unlike a refusal.
func checkProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	p := problem{
		fmt.Sprintf("the proxy could not connect (HTTP status %d)", resp.StatusCode),
		resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests,
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired, http.StatusUnauthorized: // tinyproxy returns the latter for a wrong password
		p.text = "the proxy asks for a user name and password: start the agent with HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
		if proxy.User != nil {
			p.text = "the proxy does not accept the user name and password that HTTPS_PROXY had when the agent started"
		}
	case http.StatusForbidden:
		p.text = "the proxy does not allow it (HTTP status 403)"
	}
	return p
}
