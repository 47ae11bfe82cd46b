package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"time"
)

// secure serves TLS on l, with a certificate for localhost and this host's name, issued by a new CA. It writes
// the CA's certificate to caOut, if set, and keeps the CA's key nowhere.
func secure(l net.Listener, caOut string) (net.Listener, error) {
	cert, ca, err := newCertificate(l.Addr().(*net.TCPAddr).IP)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	if caOut != "" {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})
		if err := os.WriteFile(caOut, text, 0o644); err != nil {
			return nil, fmt.Errorf("writing the CA certificate: %w", err)
		}
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	return tls.NewListener(l, config), nil
}

func newCertificate(address net.IP) (cert tls.Certificate, ca []byte, err error) {
	caKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // never fails (crypto/rand)
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	authority := &x509.Certificate{
		Subject: pkix.Name{CommonName: "fakeidp test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		// A year: a server in CI runs for minutes, one that a team shares for months.
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	if ca, err = x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey); err != nil {
		return cert, nil, err
	}
	leaf := &x509.Certificate{
		Subject: pkix.Name{CommonName: "fakeidp"}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, address},
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		leaf.DNSNames = append(leaf.DNSNames, name)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), caKey)
	return tls.Certificate{Certificate: [][]byte{der, ca}, PrivateKey: key}, ca, err
}
