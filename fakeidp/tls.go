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
	"math/big"
	"net"
	"os"
	"time"
)

// secure puts TLS over a listener, with a certificate for the names of loopback and of this host, from a CA
// that is made now. Its certificate goes to caOut; its key is forgotten.
func secure(l net.Listener, caOut string) (net.Listener, error) {
	cert, ca, err := newCertificate(l.Addr())
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	if caOut != "" {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})
		if err := os.WriteFile(caOut, text, 0o644); err != nil {
			return nil, fmt.Errorf("writing the CA: %w", err)
		}
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}), nil
}

func newCertificate(a net.Addr) (cert tls.Certificate, ca []byte, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, nil, err
	}
	authority := template("fakeidp test CA")
	authority.IsCA, authority.BasicConstraintsValid = true, true
	authority.KeyUsage = x509.KeyUsageCertSign
	if ca, err = x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey); err != nil {
		return cert, nil, err
	}
	leaf := template("fakeidp")
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf.DNSNames = []string{"localhost"}
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if name, err := os.Hostname(); err == nil && name != "" {
		leaf.DNSNames = append(leaf.DNSNames, name)
	}
	if t, ok := a.(*net.TCPAddr); ok && !t.IP.IsUnspecified() {
		leaf.IPAddresses = append(leaf.IPAddresses, t.IP)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), caKey)
	return tls.Certificate{Certificate: [][]byte{der, ca}, PrivateKey: key}, ca, err
}

// template is valid for a year: a server in a CI lives for minutes, one for a team for months.
func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails (crypto/rand)
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0)}
}
