package oidc

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestProxyErrors(t *testing.T) {
	t.Parallel()
	user := &url.URL{Host: "squid:3128", User: url.UserPassword("eve", "proxy-password")}
	refusal := func(proxy *url.URL, status int) error {
		return checkProxy(t.Context(), proxy, nil, &http.Response{StatusCode: status})
	}
	dial := &net.OpError{Op: "proxyconnect", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
	for _, c := range []struct {
		err     error
		want    string
		lasting bool
	}{
		{dial, "could not connect to the proxy squid:3128 (for op.example): connection refused", false},
		{&net.OpError{Op: "proxyconnect", Err: syscall.ETIMEDOUT}, "the proxy squid:3128 (for op.example) did not answer within", false},
		{io.ErrUnexpectedEOF, "op.example (through the proxy squid:3128) closed the connection", false},
		{refusal(&url.URL{}, 407), "op.example (through the proxy squid:3128): the proxy asks for a user name and password", true},
		{refusal(user, 407), "the proxy does not accept the user name and password that HTTPS_PROXY had", true},
		{refusal(user, 401), "the proxy does not accept the user name and password that HTTPS_PROXY had", true},
		{refusal(user, 403), "the proxy does not allow it", true},
		{refusal(user, 503), "the proxy could not connect (HTTP status 503)", false},
	} {
		err := connectionError("op.example", user, 0, true, &url.Error{Err: c.err})
		wantText(t, err, c.want)
		if _, again := Temporary(err); again == c.lasting || strings.Contains(err.Error(), "proxy-password") {
			t.Errorf("%v: temporary %t", err, again)
		}
	}
	if err := refusal(user, 200); err != nil {
		t.Error(err)
	}
}

// Go's own function would connect directly if the variable is not a URL.
func TestEnvironmentProxy(t *testing.T) {
	client := mustClient(t, Options{})
	for _, value := range []string{"http://eve:%pass@squid:3128", "eve:pa#ss@squid:3128", "http://eve:pa/ss@squid:3128"} {
		t.Setenv("HTTPS_PROXY", value)
		_, err := client.Discover(t.Context(), "https://op.example", "")
		wantText(t, err, "could not connect to op.example: HTTPS_PROXY is not a URL")
		if _, again := Temporary(err); again || strings.Contains(err.Error(), "pa") && strings.Contains(err.Error(), "eve") {
			t.Errorf("%v", err)
		}
		if _, err := environmentProxy(httptest.NewRequest(http.MethodGet, "https://127.0.0.1/", nil)); errors.Is(err, errProxyURL) {
			t.Error("loopback needs no proxy")
		}
	}
}

// The grid's CAs are trusted as well as the system's.
func TestGridRoots(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, `{"issuer":"https://`+req.Host+`","token_endpoint":"https://op.example"}`)
	}))
	defer srv.Close()
	dir := t.TempDir()
	t.Setenv("X509_CERT_DIR", dir)
	if pool, err := loadRoots(""); pool != nil || err != nil {
		t.Errorf("a pool without a certificate of the grid, %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "0a1b2c3d.signing_policy"), []byte("access_id_CA X509 '/CN=x'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if pool, err := loadRoots(""); pool == nil || err != nil {
		t.Errorf("without a certificate of the grid the system's are lost: %v", err)
	}
	pemFile(t, dir, "0a1b2c3d.0", srv.Certificate().Raw)
	_, err := mustClient(t, Options{}).Discover(t.Context(), srv.URL, "")
	wantText(t, err, "")
}

// Errors name both clocks, so that the user sees which one is wrong.
func TestClocks(t *testing.T) {
	t.Parallel()
	claims, err := parseObject([]byte(`{"exp":1}`))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	claims.checkTimes(now, time.Time{}, IDTokenCheck{})
	wantText(t, claims.err, "(the clock here says 2026-03-04T05:06:07Z)")
	claims.err = nil
	claims.checkTimes(now, now.Add(time.Hour), IDTokenCheck{})
	wantText(t, claims.err, "(the clock here says 2026-03-04T05:06:07Z, the provider's 2026-03-04T06:06:07Z)")
}
