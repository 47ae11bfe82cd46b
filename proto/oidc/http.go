// Package oidc is a client for OAuth 2.0 and OpenID Connect providers: discovery, client registration, the device,
// code, refresh and password grants, revocation, and the verification of JWTs. It stores nothing but connections and
// the providers' public keys, never prompts the user and never repeats a request.
//
// Only the agent may import it. Start with [NewClient] and [Client.Discover]. Their results make a [Provider], whose
// methods are the other requests. The code cites the section that each rule comes from:
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
	CAFile    string            // a PEM file or a directory of PEM files, instead of the CAs of the system and the grid
	UserAgent string            // sent with each request (RFC 9110 section 10.1.5)
	Transport http.RoundTripper // instead of the network, and of CAFile; for tests
}

// Client sends requests to any number of providers and keeps the connections open. It is safe for concurrent use.
//
// Every request ends at its context's deadline, or after 15 seconds if there is none. Errors that callers can tell
// apart are [*Error] if the provider's response is not a success, [*ConnectionError] if no complete response came,
// and [NoEndpointError] if the provider's metadata lacks the endpoint.
type Client struct {
	http      *http.Client
	proxy     func(*http.Request) (*url.URL, error)
	userAgent string
	keys      sync.Map     // jwks_uri -> keySet
	open      atomic.Int64 // connections in memory
}

// NewClient returns a client. It is an error if the CA file cannot be read or contains no certificate.
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

// CloseIdle closes the connections that no request is using. Their buffers contain the last request and response
// until the garbage collector frees them; see [Client.Open].
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

// Open returns the number of connections that are still in memory, open or closed.
func (c *Client) Open() int64 { return c.open.Load() }

type request struct {
	method, url string
	header      http.Header
	body        []byte
	secrets     []secret.Secret // what is sent and must not appear in an error text
}

// newRequest asks for JSON. RFC 6749 section 5.1 requires it anyway, but some providers prefer forms.
func newRequest(method, url string) *request {
	return &request{method: method, url: url, header: http.Header{"Accept": {"application/json"}}}
}

// bearer authorizes a request with a token, if it is not empty (RFC 6750 section 2.1).
func (q *request) bearer(token secret.Secret) {
	if !token.IsEmpty() {
		q.header.Set("Authorization", "Bearer "+string(token.Reveal()))
		q.secrets = append(q.secrets, token)
	}
}

// exchange sends a request and passes the complete response to read. A redirect that is not followed is an error.
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
		// net/http calls it if an idle connection turns out to be dead before anything was written to it.
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
		debug.FreeOSMemory() // nothing else needs this much memory
		return r.unexpected(err.Error())
	} else if err != nil {
		return failed(err)
	}
	return r.take(read)
}

// maxRedirects is how many redirects a GET follows.
const maxRedirects = 5

// checkRedirect implements http.Client's CheckRedirect: nil follows the redirect.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	// RFC 9110 section 15.4.8: a 307 would repeat a POST with its secrets at any URL that the provider names. Nor may
	// a header with credentials go anywhere but to its endpoint.
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

// parseURL parses a URL that requests may be sent to: https, or http on the loopback interface.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		// RFC 3986 section 2: a URI consists of visible ASCII. Other characters could deceive a reader.
		return nil, fmt.Errorf("%s contains a character that is not allowed in a URL", shown(raw))
	case err != nil:
		return nil, fmt.Errorf("%s is not a URL", shown(raw))
	case u.User != nil: // do not show it: it may contain a password
		return nil, fmt.Errorf("the URL of %s contains a user name", shown(u.Host))
	case strings.Contains(raw, "#"):
		// RFC 6749 sections 3.1 and 3.2; RFC 8414 section 2.
		return nil, fmt.Errorf("%s has a fragment", shown(raw))
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	case u.Scheme != "https" || u.Hostname() == "":
		// RFC 6749 sections 3.1 and 3.2: credentials require TLS.
		return nil, fmt.Errorf("%s is not an https URL (http is allowed on loopback only)", shown(raw))
	}
	return u, nil
}

// isLoopback reports whether host is in 127.0.0.0/8, ::1 or localhost, where TLS is of no use.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// maxBody limits the size of a decompressed response in bytes. The largest known one is a metadata document of 20 KiB.
const maxBody = 1 << 20

var errTooLong = errors.New("longer than 1 MiB")

// readBody reads a response. Its buffer is large enough for tokens, because growing would leave copies in memory.
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

// wipedBody is a request body that is wiped when the transport closes it, which may be after Do has returned (see
// http.RoundTripper). It wipes a copy, because GetBody may need the original later.
type wipedBody struct {
	mu    sync.Mutex // Close may be called during a Read
	bytes []byte
	rest  bytes.Reader
}

func newWipedBody(body []byte) *wipedBody {
	b := &wipedBody{bytes: bytes.Clone(body)}
	b.rest.Reset(b.bytes)
	return b
}

func (b *wipedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rest.Read(p)
}

func (b *wipedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.bytes)
	b.rest.Reset(nil)
	return nil
}
