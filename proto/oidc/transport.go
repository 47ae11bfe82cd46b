package oidc

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// newTransport returns the transport of all requests. nil roots are the system's, loaded at the first
// handshake.
func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  environmentProxy,
		OnProxyConnectResponse: checkProxy,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, Control: limitSilence}).DialContext,
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

// gridRoots is where grid sites keep their CAs, which no system knows. X509_CERT_DIR names another directory.
const gridRoots = "/etc/grid-security/certificates"

// siteRoots are the system's roots (or what SSL_CERT_FILE and SSL_CERT_DIR name) and those of the grid. Where there
// are none of the grid's: no pool.
func siteRoots() *x509.CertPool {
	files, _ := filesIn(cmp.Or(os.Getenv("X509_CERT_DIR"), gridRoots)) // none: not a grid site
	if len(files) == 0 {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, file := range files {
		data, _ := readFile(file, maxRoots) // what cannot be read is missed at the first handshake that needs it
		pool.AppendCertsFromPEM(data)
	}
	return pool
}

// loadRoots reads the certificates of a PEM file, or of all files in a directory. Without a path they are those of
// the site.
func loadRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return siteRoots(), nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filesIn(path); err != nil {
			return nil, fmt.Errorf("CA directory: %w", err)
		}
	}
	pool, found := x509.NewCertPool(), false
	for _, file := range files {
		data, err := readFile(file, maxRoots)
		if err != nil && !info.IsDir() {
			return nil, fmt.Errorf("CA file: %w", err)
		}
		// /etc/grid-security/certificates holds policies and revocation lists as well: those are passed over.
		found = pool.AppendCertsFromPEM(data) || found
	}
	if !found {
		return nil, fmt.Errorf("no certificate in CA file %q", path)
	}
	return pool, nil
}

// filesIn lists the regular files of a directory, and links to such.
func filesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var files []string
	for _, entry := range entries {
		file := filepath.Join(dir, entry.Name())
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			files = append(files, file)
		}
	}
	return files, err
}

var errTooLong = errors.New("longer than 1 MiB")

// readBody reads to the end, or to the limit. A buffer that became too small is wiped.
func readBody(body io.Reader, length int64) ([]byte, error) {
	if length > maxBody {
		return nil, errTooLong
	}
	if length < 0 {
		length = 4 << 10
	}
	buf := make([]byte, 0, length+1) // one more: the end is seen without growing
	for {
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > maxBody:
			clear(buf)
			return nil, errTooLong
		case err == io.EOF:
			return buf, nil
		case err != nil:
			clear(buf)
			return nil, err
		case len(buf) == cap(buf):
			buf = moved(buf, min(4*cap(buf), maxBody+1))
		}
	}
}

// grown returns buf with room for n more bytes; where it had to move, the old place is wiped.
func grown(buf []byte, n int) []byte {
	if cap(buf)-len(buf) >= n {
		return buf
	}
	return moved(buf, 2*cap(buf)+n)
}

// moved returns a copy of buf with a capacity of size; the old place is wiped.
func moved(buf []byte, size int) []byte {
	copied := append(make([]byte, 0, size), buf...)
	clear(buf)
	return copied
}

// wipedBody is a request's body that is wiped once the transport is done with it, which may be after Do has
// returned (see http.RoundTripper). It has a copy of its own, for GetBody may be called later.
type wipedBody struct {
	mu    sync.Mutex // Close may come while another goroutine reads
	bytes []byte
	read  int
}

func newWipedBody(body []byte) *wipedBody {
	return &wipedBody{bytes: append([]byte(nil), body...)}
}

// Read implements io.Reader.
func (b *wipedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := copy(p, b.bytes[b.read:])
	b.read += n
	if b.read == len(b.bytes) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (b *wipedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.bytes)
	b.bytes, b.read = nil, 0
	return nil
}
