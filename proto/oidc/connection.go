package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ConnectionError means that no complete response came from the provider.
type ConnectionError struct {
	Unsent bool // no connection was made, so the provider knows nothing of the request
	err    error
	problem
}

// Unwrap returns the cause, such as context.Canceled or syscall.ECONNREFUSED.
func (e *ConnectionError) Unwrap() error { return e.err }

// problem describes a cause for the user.
type problem struct {
	text    string
	lasting bool // a retry is useless, as with an unknown host name or a bad certificate
}

// Error returns one line.
func (p problem) Error() string { return p.text }

// connectionError turns an error of http.Client into one that names the host, the proxy and the cause in one line. It
// returns an error of checkRedirect unchanged.
func connectionError(host string, proxy *url.URL, took time.Duration, unsent bool, err error) error {
	if refused, ok := errors.AsType[*Error](err); ok {
		return refused
	}
	if outer, ok := errors.AsType[*url.Error](err); ok { // its text has the whole URL
		err = outer.Err
	}
	host = printable(host)
	if proxy != nil { // do not show its URL: it may contain a password
		if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "proxyconnect" {
			host = fmt.Sprintf("the proxy %s (for %s)", printable(proxy.Host), host)
		} else {
			host = fmt.Sprintf("%s (through the proxy %s)", host, printable(proxy.Host))
		}
	}
	timeout, timed := errors.AsType[net.Error](err)
	_, dns := errors.AsType[*net.DNSError](err)
	ends := []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE}
	var p problem
	switch {
	case errors.Is(err, context.Canceled):
		p = problem{fmt.Sprintf("the request to %s was cancelled", host), true}
	case errors.Is(err, context.DeadlineExceeded) || timed && timeout.Timeout() && !dns:
		p.text = fmt.Sprintf("%s did not answer within %s", host, took.Round(100*time.Millisecond))
	case slices.ContainsFunc(ends, func(end error) bool { return errors.Is(err, end) }):
		p.text = host + " closed the connection before its answer was complete"
	default:
		p = problemOf(err)
		p.text = fmt.Sprintf("could not connect to %s: %s", host, p.text)
	}
	return &ConnectionError{unsent, err, p}
}

// problemOf describes why there is no connection.
func problemOf(err error) problem {
	if known, ok := errors.AsType[problem](err); ok {
		return known
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case dns.IsNotFound:
			return problem{"no such host", true}
		case dns.IsTimeout:
			return problem{"the name server does not answer", false}
		}
		return problem{"name server: " + cleanText(dns.Err, nil), false}
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return problem{errno.Error(), false}
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		last := unknown.Cert // the issuer of the last certificate in the provider's chain is the missing authority
		if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(e.UnverifiedCertificates) > 0 {
			last = e.UnverifiedCertificates[len(e.UnverifiedCertificates)-1]
		}
		return problem{"its certificate comes from an unknown authority: " + shown(last.Issuer.String()) +
			"; if you trust it, give a file with its certificate to oidc-gen --cp, " +
			"or start the agent with SSL_CERT_FILE set to that file", true}
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		text := strings.TrimPrefix(cleanText(name.Error(), nil), "x509: ")
		return problem{"its certificate is for another host: " + text, true}
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		text := "its certificate is not valid: " + cleanText(invalid.Error(), nil)
		if invalid.Reason == x509.Expired { // often it is the local clock that is wrong
			const layout = "2006-01-02 15:04 MST"
			from, to := invalid.Cert.NotBefore.UTC().Format(layout), invalid.Cert.NotAfter.UTC().Format(layout)
			now := time.Now().UTC().Format(layout)
			text = fmt.Sprintf("its certificate is valid from %s to %s, and the clock here says %s", from, to, now)
		}
		return problem{text, true}
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return problem{"the server does not speak TLS", true}
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" { // a TLS alert
		return problem{cleanText(alert.Err.Error(), nil), true}
	}
	return problem{cleanText(err.Error(), nil), false}
}
