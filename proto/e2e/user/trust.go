package user

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
)

// Trust has the browser accept the certificates of these authorities, and no
// others.
func (b *Browser) Trust(roots *x509.CertPool) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	b.client.Transport = transport
}
