package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Something else may listen on the socket: an answer without the object `info` is an error, for a restart as well.
func TestStatusOfAlien(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "alien")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	answers := []string{`{"status":"success"}`, `{"status":"success","info":"text"}`, `{"status":"success"}`}
	go func() {
		for _, answer := range answers {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte(answer))
			conn.Close()
		}
	}()
	for i := range answers {
		err := printStatus(path, i < 2)
		if err == nil || !strings.Contains(err.Error(), "not oidc-agent: its answer has no info") {
			t.Errorf("%s: %v", answers[i], err)
		}
	}
}

// The daemon leaves the directory in which it was started, so paths that depend on that are made absolute first.
func TestAbsoluteVariables(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, c := range map[string]struct{ value, want string }{
		"OIDC_CONFIG_DIR":  {"mine", filepath.Join(dir, "mine")},
		"OIDC_USER_CONFIG": {"/dev/null", "/dev/null"},
		"SSL_CERT_FILE":    {"", ""},
		"X509_CERT_DIR":    {"../certificates", filepath.Join(filepath.Dir(dir), "certificates")},
	} {
		t.Setenv(name, c.value)
		if err := absoluteVariables(); err != nil {
			t.Fatal(err)
		}
		if got := os.Getenv(name); got != c.want {
			t.Errorf("%s=%s has become %q, want %q", name, c.value, got, c.want)
		}
	}
}
