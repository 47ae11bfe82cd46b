package user

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTrust(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "<h1>Done</h1>")
	}))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	b := NewBrowser("alice", "alice")
	if err := b.Approve(t.Context(), server.URL, "", true); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
	b.Trust(roots)
	if err := b.Approve(t.Context(), server.URL, "", true); err != nil {
		t.Errorf("a trusted certificate: %v", err)
	}
}
