package oidc

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"
)

// A connection is counted until it is no longer in memory.
func TestOpen(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	c, err := NewClient(Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, c.exchange(t.Context(), newRequest(http.MethodGet, server.URL), nil), "HTTP status 404")
	runtime.GC()
	if got := c.Open(); got != 1 {
		t.Errorf("%d connections are open, want 1", got)
	}
	c.CloseIdle()
	for deadline := time.Now().Add(time.Minute); c.Open() > 0; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("a closed connection stays in memory")
		}
	}
}
