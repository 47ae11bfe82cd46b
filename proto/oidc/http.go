// Package oidc speaks OAuth 2.0 and OpenID Connect to providers over net/http: discovery, client
// registration, the device, code, refresh and password grants, revocation, and the decoding and
// verification of JWTs. It keeps nothing but connections and the providers' public keys, prompts nobody and
// tries nothing twice.
//
// The agent alone may enter. Start with [NewClient] and [Client.Discover]; what they return goes into the
// other calls. Every rule stands beside the section that it comes from:
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
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"oidc-agent/proto/secret"
)

const (
	// maxBody is the longest answer that is read, in bytes after decompression. The longest known (a
	// discovery document with all its scopes) has some 20 KiB.
	maxBody = 1 << 20
	// defaultTimeout bounds a whole exchange whose context has no deadline.
	defaultTimeout = 15 * time.Second
	// maxRedirects is how many redirects a GET follows in a row.
	maxRedirects = 5
)

// Options configure a [Client]. The zero value is usable.
type Options struct {
	// CAFile names a PEM file, or a directory of PEM files, whose certificates replace the system's roots and the
	// grid's.
	CAFile string
	// UserAgent is sent with each request (RFC 9110 section 10.1.5).
	UserAgent string
	// Transport replaces the network; CAFile is not looked at then. For tests.
	Transport http.RoundTripper
}

// Client makes requests to any number of providers and keeps their connections for later requests. It is
// safe for concurrent use.
//
// Every call ends at its context's deadline, or after 15 seconds when that has none. The errors are:
// [*Error] for what the provider says in OAuth's terms, [*HTTPError] for an answer that is none of OAuth's,
// [*ConnectionError] where no whole answer came, [*NoEndpointError] where the metadata lacks what is needed.
type Client struct {
	http      *http.Client
	userAgent string
	keys      keyCache
	open      *atomic.Int64 // connections in memory
}

// NewClient returns a client. It fails when the CA file cannot be read or holds no certificate.
func NewClient(o Options) (*Client, error) {
	transport, open := o.Transport, new(atomic.Int64)
	if transport == nil {
		roots, err := loadRoots(o.CAFile)
		if err != nil {
			return nil, err
		}
		own := newTransport(roots)
		own.DialContext = counted(own.DialContext, open)
		transport = throughProxy{own}
	}
	return &Client{
		http:      &http.Client{Transport: transport, CheckRedirect: checkRedirect},
		userAgent: o.UserAgent,
		open:      open,
	}, nil
}

// request is one exchange to be made.
type request struct {
	method, url string
	header      http.Header
	body        []byte          // do wipes it
	secrets     []secret.Secret // what was sent and must not come back in an error's text
}

// do makes one exchange and reads the answer whole. It fails on a redirect that is not followed; any
// other status is for the caller to judge.
func (c *Client) do(ctx context.Context, q *request) (*response, error) {
	defer clear(q.body)
	u, err := parseURL(q.url)
	if err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultTimeout)
		defer cancel()
	}
	started := time.Now()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	resp, err := c.http.Do(c.httpRequest(ctx, q, u))
	if err != nil {
		return nil, connectionError(u.Host, time.Since(started), !connected.Load(), err)
	}
	defer resp.Body.Close()
	r := &response{status: resp.StatusCode, header: resp.Header, received: time.Now(), secrets: q.secrets}
	if r.status >= 300 && r.status < 400 {
		return nil, r.redirectError("which is not followed")
	}
	if r.body, err = readBody(resp.Body, resp.ContentLength); err == errTooLong {
		debug.FreeOSMemory() // nobody else needs so much
		return nil, r.unexpected(err.Error())
	} else if err != nil {
		return nil, connectionError(u.Host, time.Since(started), false, err)
	}
	return r, nil
}

func (c *Client) httpRequest(ctx context.Context, q *request, u *url.URL) *http.Request {
	if q.header == nil {
		q.header = http.Header{}
	}
	req := (&http.Request{
		Method: q.method, URL: u, Host: u.Host, Header: q.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	// RFC 6749 section 5.1 has JSON answers; some providers send forms to those who do not ask for it.
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent) // empty: net/http sends none
	if q.body != nil {
		req.ContentLength = int64(len(q.body))
		req.Body = newWipedBody(q.body)
		// Called when a kept connection turns out dead before anything was written to it.
		req.GetBody = func() (io.ReadCloser, error) { return newWipedBody(q.body), nil }
	}
	return req
}

// checkRedirect is http.Client's hook: a nil error follows.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	// RFC 9110 section 15.4.8: a 307 repeats the POST with all its secrets, wherever Location says.
	// Credentials in a header stay with the endpoint that they were meant for, too.
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
	for i := range len(raw) {
		// RFC 3986 section 2: a URI is made of visible ASCII. The rest could fool who reads it.
		if raw[i] <= ' ' || raw[i] >= 0x7f {
			return nil, fmt.Errorf("%s holds a character that no URL may have", shown(raw))
		}
	}
	u, err := url.Parse(raw)
	switch {
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
