package oidc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// A proxy's URL may hold a password: only its host is ever shown.

// proxyError names the proxy that a request was to go through.
type proxyError struct {
	host string // host and port
	err  error
}

func (e *proxyError) Error() string { return "the proxy " + e.host + ": " + e.err.Error() }
func (e *proxyError) Unwrap() error { return e.err }

// throughProxy is a transport whose errors are [*proxyError] where a proxy is used.
type throughProxy struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (t throughProxy) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.Transport.RoundTrip(req)
	if err != nil {
		if proxy, _ := t.Proxy(req); proxy != nil {
			err = &proxyError{proxy.Host, err}
		}
	}
	return resp, err
}

var errProxyURL = errors.New("HTTPS_PROXY is not a URL (in a user name or password write %25 for %, %23 for #, %2F for /, %3F for ?)")

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

// proxyRefusal is a proxy's answer to CONNECT (RFC 9110 section 9.3.6) that makes no tunnel.
type proxyRefusal struct {
	status int
	known  bool // we sent a user name
}

// checkProxy is a transport's OnProxyConnectResponse.
func checkProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyRefusal{resp.StatusCode, proxy.User != nil}
}

func (e *proxyRefusal) Error() string {
	switch e.status {
	case http.StatusProxyAuthRequired, http.StatusUnauthorized: // tinyproxy says the latter to a wrong password
		if e.known {
			return "the proxy does not accept the user name and password in HTTPS_PROXY, as they were when the agent started"
		}
		return "the proxy asks for a user name and password: start the agent with HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
	case http.StatusForbidden:
		return "the proxy does not allow it (HTTP status 403)"
	}
	return fmt.Sprintf("the proxy could not connect (HTTP status %d)", e.status)
}

// lasting: a gateway's troubles pass, a prohibition does not.
func (e *proxyRefusal) lasting() bool { return e.status < 500 && !isTemporary(e.status) }
