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
	"strings"
	"syscall"
	"time"
)

// ConnectionError tells that no whole answer came from a provider.
type ConnectionError struct {
	Host    string // host and port as in the URL
	Timeout bool   // it took too long
	Unsent  bool   // there was no connection to send anything on: the provider knows nothing of the request
	Err     error  // the cause
	text    string
	lasting bool
}

// Error is one line that names the host and the cause.
func (e *ConnectionError) Error() string { return e.text }

// Unwrap returns the cause, as context.Canceled or syscall.ECONNREFUSED.
func (e *ConnectionError) Unwrap() error { return e.Err }

// Temporary reports whether the same request may succeed later. It may not where somebody must act first:
// an unknown host name, a bad certificate, a request that was cancelled.
func (e *ConnectionError) Temporary() bool { return !e.lasting }

// connectionError makes of an error of http.Client one line. An error of checkRedirect passes unchanged.
func connectionError(host string, took time.Duration, unsent bool, err error) error {
	var refused *HTTPError
	if errors.As(err, &refused) {
		return refused
	}
	var outer *url.Error // its text holds the whole URL
	if errors.As(err, &outer) {
		err = outer.Err
	}
	e := &ConnectionError{Host: host, Unsent: unsent, Err: err}
	host = reached(printable(host), err)
	var netErr net.Error
	problem, lasting := connectionProblem(err)
	switch {
	case errors.Is(err, context.Canceled):
		e.lasting, e.text = true, fmt.Sprintf("the request to %s was cancelled", host)
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout() && !isDNS(err):
		e.Timeout, e.text = true, fmt.Sprintf("%s did not answer within %s", host, took.Round(100*time.Millisecond))
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		e.text = fmt.Sprintf("%s closed the connection before its answer was complete", host)
	default:
		e.lasting, e.text = lasting, fmt.Sprintf("could not connect to %s: %s", host, problem)
	}
	return e
}

// reached names what we were talking to: the provider, perhaps behind a proxy, or the proxy itself.
func reached(host string, err error) string {
	var (
		proxy *proxyError
		dial  *net.OpError
	)
	switch {
	case !errors.As(err, &proxy):
		return host
	case errors.As(err, &dial) && dial.Op == "proxyconnect":
		return fmt.Sprintf("the proxy %s (for %s)", printable(proxy.host), host)
	}
	return fmt.Sprintf("%s (through the proxy %s)", host, printable(proxy.host))
}

func isDNS(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns)
}

// connectionProblem says why there is no connection, and whether that lasts until somebody acts.
func connectionProblem(err error) (problem string, lasting bool) {
	var (
		dns     *net.DNSError
		refusal *proxyRefusal
		errno   syscall.Errno
	)
	switch {
	case errors.As(err, &refusal):
		return refusal.Error(), refusal.lasting()
	case errors.Is(err, errProxyURL):
		return err.Error(), true
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no such host", true
	case errors.As(err, &dns) && dns.IsTimeout:
		return "the name server does not answer", false
	case errors.As(err, &dns):
		return "name server: " + cleanText(dns.Err, nil), false
	case errors.As(err, &errno):
		return errno.Error(), false
	}
	if problem := tlsProblem(err); problem != "" {
		return problem, true
	}
	return cleanText(err.Error(), nil), false
}

// tlsProblem says what is wrong with the provider's TLS, or nothing.
func tlsProblem(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		alert   *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		return "its certificate comes from an unknown authority: " + missingAuthority(err, unknown.Cert) +
			"; if that is right, name a file with the authority's certificate by oidc-gen --cp, or by SSL_CERT_FILE when the agent is started"
	case errors.As(err, &name):
		return fmt.Sprintf("its certificate is for %s, not for %s", certificateNames(name.Certificate), printable(name.Host))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return validityProblem(invalid.Cert, time.Now())
	case errors.As(err, &invalid):
		return "its certificate is not valid: " + cleanText(invalid.Error(), nil)
	case errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS there"
	case errors.As(err, &alert) && alert.Op == "remote error": // crypto/tls: the other side's alert
		return cleanText(alert.Err.Error(), nil)
	}
	return ""
}

// missingAuthority names who signed the last certificate that the provider sent: that one is to be trusted.
func missingAuthority(err error, last *x509.Certificate) string {
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) && len(verification.UnverifiedCertificates) > 0 {
		last = verification.UnverifiedCertificates[len(verification.UnverifiedCertificates)-1]
	}
	if last == nil {
		return "of no name"
	}
	return shown(last.Issuer.String())
}

func certificateNames(cert *x509.Certificate) string {
	names := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no host"
	}
	return shortened(printable(strings.Join(names, ", ")))
}

// validityProblem shows the clock as well: on many a machine that is what is wrong.
func validityProblem(cert *x509.Certificate, now time.Time) string {
	const layout = "2006-01-02 15:04 MST"
	clock := now.UTC().Format(layout)
	if now.Before(cert.NotBefore) {
		return fmt.Sprintf("its certificate is valid only from %s on (the clock here says %s)", cert.NotBefore.UTC().Format(layout), clock)
	}
	return fmt.Sprintf("its certificate expired at %s (the clock here says %s)", cert.NotAfter.UTC().Format(layout), clock)
}
