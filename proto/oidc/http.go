// Package oidc speaks OAuth 2.0 and OpenID Connect to providers over net/http: discovery, client registration, the
// device, code, refresh and password grants, revocation, and the verification of JWTs. It keeps nothing but connections
// and the providers' public keys, prompts nobody and tries nothing twice.
//
// The agent alone may enter. Start with [NewClient] and [Client.Discover]; what they return makes a [Provider], which
// has the other calls. Every rule stands beside the section that it comes from:
//
//   - RFC 6749 OAuth 2.0, RFC 6750 bearer tokens, RFC 7009 revocation, RFC 7636 PKCE
//   - RFC 7591 and RFC 7592 client registration and its management
//   - RFC 8252 native applications, RFC 8414 metadata, RFC 8628 device grant
//   - RFC 8707 resource indicators, RFC 9207 issuer identification
//   - RFC 7515, RFC 7517, RFC 7518, RFC 7519, RFC 8725 JSON Web Signatures, Keys, Algorithms and Tokens
//   - RFC 9110 HTTP, RFC 3986 URIs
//   - "Core" and "Discovery": OpenID Connect Core 1.0 and OpenID Connect Discovery 1.0
package oidc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"oidc-agent/proto/secret"
)

// Options configure a [Client]. The zero value is usable.
type Options struct {
	CAFile    string            // a PEM file, or a directory of such, in the place of the system's roots and the grid's
	UserAgent string            // sent with each request (RFC 9110 section 10.1.5)
	Transport http.RoundTripper // in the place of the network, CAFile is not looked at then; for tests
}

// Client makes requests to any number of providers and keeps their connections for later requests. It is safe for
// concurrent use.
//
// Every call ends at its context's deadline, or after 15 seconds when that has none. The errors are: [*Error] for an
// answer that is no success, [*ConnectionError] where no whole answer came, [NoEndpointError] where the metadata lacks
// what is needed.
type Client struct {
	http      *http.Client
	proxy     func(*http.Request) (*url.URL, error)
	userAgent string
	keys      sync.Map     // keySet by jwks_uri
	open      atomic.Int64 // connections in memory
}

// NewClient returns a client. It fails when the CA file cannot be read or holds no certificate.
func NewClient(o Options) (*Client, error) {
	c := &Client{userAgent: o.UserAgent, proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
	if o.Transport == nil {
		roots, err := loadRoots(o.CAFile)
		if err != nil {
			return nil, err
		}
		o.Transport, c.proxy = newTransport(roots, &c.open), environmentProxy
	}
	c.http = &http.Client{Transport: o.Transport, CheckRedirect: checkRedirect}
	return c, nil
}

// CloseIdle closes the connections that no request uses now. Their buffers hold the last exchange until they are
// collected: see [Client.Open].
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

// Open counts the connections that are still in memory, closed or not.
func (c *Client) Open() int64 { return c.open.Load() }

// request is one exchange to be made.
type request struct {
	method, url string
	header      http.Header
	body        []byte
	secrets     []secret.Secret // what was sent and must not come back in an error's text
}

// newRequest asks for JSON: RFC 6749 section 5.1 has it, but some providers send forms to those who do not ask.
func newRequest(method, url string) *request {
	return &request{method: method, url: url, header: http.Header{"Accept": {"application/json"}}}
}

// bearer authorizes a request with a token (RFC 6750 section 2.1). An empty one changes nothing.
func (q *request) bearer(token secret.Secret) {
	if !token.IsEmpty() {
		q.header.Set("Authorization", "Bearer "+string(token.Reveal()))
		q.secrets = append(q.secrets, token)
	}
}

// exchange makes one exchange, reads the answer whole, and has read take it. A redirect that is not followed is an error.
func (c *Client) exchange(ctx context.Context, q *request, read reader) error {
	u, err := parseURL(q.url)
	if err != nil {
		return err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
	}
	started := time.Now()
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	req := (&http.Request{Method: q.method, URL: u, Host: u.Host, Header: q.header}).WithContext(
		httptrace.WithClientTrace(ctx, trace))
	req.Header.Set("User-Agent", c.userAgent) // empty: net/http sends none
	if q.body != nil {
		req.ContentLength = int64(len(q.body))
		req.Body = newWipedBody(q.body)
		// Called when a kept connection turns out dead before anything was written to it.
		req.GetBody = func() (io.ReadCloser, error) { return newWipedBody(q.body), nil }
	}
	failed := func(err error) error {
		proxy, _ := c.proxy(req)
		return connectionError(u.Host, proxy, time.Since(started), !connected.Load(), err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	connected.Store(true)
	r := &response{status: resp.StatusCode, header: resp.Header, secrets: q.secrets}
	if r.status >= 300 && r.status < 400 {
		return r.redirectError("which is not followed")
	}
	if r.body, err = readBody(resp.Body, resp.ContentLength); err == errTooLong {
		debug.FreeOSMemory() // nobody else needs so much
		return r.unexpected(err.Error())
	} else if err != nil {
		return failed(err)
	}
	return r.take(read)
}

// maxRedirects is how many redirects a GET follows in a row.
const maxRedirects = 5

// checkRedirect is http.Client's hook: a nil error follows.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	// RFC 9110 section 15.4.8: a 307 repeats the POST with all its secrets, wherever Location says. Credentials in a
	// header stay with the endpoint that they were meant for, too.
	if first.Method != http.MethodGet || first.Header.Get("Authorization") != "" {
		return http.ErrUseLastResponse
	}
	r := &response{status: next.Response.StatusCode, header: next.Response.Header}
	if len(via) > maxRedirects {
		return r.redirectError(fmt.Sprintf("after %d others", maxRedirects))
	}
	if _, err := parseURL(next.URL.String()); err != nil || first.URL.Scheme == "https" && next.URL.Scheme != "https" {
		return r.redirectError("which is not https")
	}
	return nil
}

// parseURL accepts what requests may be sent to: https, or http on the loopback interface.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		// RFC 3986 section 2: a URI is made of visible ASCII. The rest could fool who reads it.
		return nil, fmt.Errorf("%s holds a character that no URL may have", shown(raw))
	case err != nil:
		return nil, fmt.Errorf("%s is not a URL", shown(raw))
	case u.User != nil: // not shown: that is where passwords are written
		return nil, fmt.Errorf("the URL of %s holds a user name", shown(u.Host))
	case strings.Contains(raw, "#"):
		// RFC 6749 sections 3.1 and 3.2; RFC 8414 section 2.
		return nil, fmt.Errorf("%s has a fragment", shown(raw))
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	case u.Scheme != "https" || u.Hostname() == "":
		// RFC 6749 sections 3.1 and 3.2: TLS is required wherever credentials travel.
		return nil, fmt.Errorf("%s is not an https URL (http is allowed on loopback only)", shown(raw))
	}
	return u, nil
}

// isLoopback reports whether host is 127.0.0.0/8, ::1 or localhost, where TLS protects from nobody.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// maxBody is the longest answer that is read, in bytes after decompression. The longest known (a discovery document
// with all its scopes) has some 20 KiB.
const maxBody = 1 << 20

var errTooLong = errors.New("longer than 1 MiB")

// readBody reads to the end, or to the limit. Tokens fit into the buffer, so that no copy is left where it had to grow.
func readBody(body io.Reader, length int64) ([]byte, error) {
	if length > maxBody {
		return nil, errTooLong
	}
	buf := bytes.NewBuffer(make([]byte, 0, max(length, 16<<10)+bytes.MinRead))
	_, err := buf.ReadFrom(io.LimitReader(body, maxBody+1))
	if buf.Len() > maxBody {
		err = errTooLong
	}
	if err != nil {
		clear(buf.Bytes())
		return nil, err
	}
	return buf.Bytes(), nil
}

// wipedBody is a request's body that is wiped once the transport is done with it, which may be after Do has returned
// (see http.RoundTripper). It has a copy of its own, for GetBody may be called later.
type wipedBody struct {
	mu    sync.Mutex // Close may come while another goroutine reads
	bytes []byte
	rest  bytes.Reader
}

func newWipedBody(body []byte) *wipedBody {
	b := &wipedBody{bytes: bytes.Clone(body)}
	b.rest.Reset(b.bytes)
	return b
}

// Read implements io.Reader.
func (b *wipedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rest.Read(p)
}

// Close implements io.Closer.
func (b *wipedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.bytes)
	b.rest.Reset(nil)
	return nil
}
