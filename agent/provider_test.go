package main

import (
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/oidc"
)

const discoveryPath = ".well-known/openid-configuration"

func (w *world) discoveries() int { return w.idp.Counters()["GET "+discoveryPath] }

// Metadata is used for as long as the provider says and then renewed. While the provider is unavailable it is kept.
func TestMetadataRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{AccessTokenLifetime: time.Minute})
		w.load("metadata")
		w.idp.ForgetRequests()
		slow := iam.Fault{Path: discoveryPath, Delay: time.Second, Header: map[string]string{"Cache-Control": "private, max-age=7200"}}
		w.idp.Fail(slow)
		step := func(sleep, took time.Duration, discoveries int) {
			t.Helper()
			time.Sleep(sleep)
			began := time.Now()
			w.must(w.agent, forced("metadata"))
			w.must(w.agent, forced("metadata"))
			synctest.Wait()
			if got := time.Since(began); got != took || w.discoveries() != discoveries {
				t.Errorf("%d discoveries, want %d; took %v, want %v", w.discoveries(), discoveries, got, took)
			}
			time.Sleep(time.Minute)
		}
		step(0, 0, 0)
		step(metadataLifetime, time.Second, 1)
		step(metadataLifetime, 0, 1)
		step(metadataLifetime, time.Second, 2)
		w.idp.ClearFaults()
		w.idp.Fail(iam.Fault{Path: discoveryPath, Delay: time.Hour})
		w.agent.idle.Stop()
		step(48*time.Hour, metadataTimeout, 3)
		if !w.agent.idle.Stop() {
			t.Error("what a request leaves in memory is not removed later")
		}
		step(0, metadataTimeout, 4)
	})
}

// A CA file that changes is read again.
func TestCAFileChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	first, second := secureServer(t, w.idp), secureServer(t, w.idp)
	path := filepath.Join(w.dir, "ca.pem")
	use := func(s *httptest.Server) {
		block := &pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reach := func(s *httptest.Server) error {
		client, err := w.agent.client(path)
		if err != nil {
			return err
		}
		_, err = client.Discover(t.Context(), w.idp.Issuer(), s.URL+"/"+discoveryPath)
		return err
	}
	use(first)
	if err := reach(first); err != nil {
		t.Error(err)
	}
	if err := reach(second); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("second: %v", err)
	}
	if _, err := w.agent.client(""); err != nil {
		t.Error(err)
	}
	use(second)
	if err := reach(second); err != nil {
		t.Error(err)
	}
	paths := map[string]int{}
	for key := range w.agent.providers.clients.Range {
		paths[key.(caFile).path]++
	}
	if paths[path] != 1 || paths[""] != 1 {
		t.Errorf("clients that are kept: %v", paths)
	}
}

// Concurrent requests share one client. A second one would be forgotten, and its connections not closed on lock.
func TestOneClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	path := filepath.Join(w.dir, "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: secureServer(t, w.idp).Certificate().Raw}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	var (
		start   = make(chan struct{})
		clients [32]*oidc.Client
		all     sync.WaitGroup
	)
	for i := range clients {
		all.Go(func() {
			<-start
			var err error
			if clients[i], err = w.agent.client(path); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	all.Wait()
	for _, c := range clients {
		if c != clients[0] {
			t.Fatal("there are two clients for one CA file")
		}
	}
}

// secureServer is a TLS server with its own certificate in front of a handler.
func secureServer(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.TLS = certified(t, "127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// A connection is kept for the next request, also with HTTP/2. It is closed after a suspend and when the agent is
// locked.
func TestConnectionsEnd(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		w := newWorld(t, iam.Settings{})
		clock := w.bend()
		var opened atomic.Int32
		closed := make(chan struct{}, 10)
		s := httptest.NewUnstartedServer(w.idp)
		s.Config.ConnState = countStates(&opened, closed)
		client, err := oidc.NewClient(oidc.Options{})
		if s.EnableHTTP2 = secure; secure {
			s.StartTLS()
			client, err = oidc.NewClient(oidc.Options{Transport: s.Client().Transport})
		} else {
			s.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		setClient(w.agent, "", client)
		request := func() {
			t.Helper()
			if c, err := w.agent.client(""); err != nil {
				t.Error(err)
			} else if _, err = c.Discover(t.Context(), w.idp.Issuer(), s.URL+"/"+discoveryPath); err != nil {
				t.Error(err)
			}
		}
		request()
		request()
		if opened.Load() != 1 {
			t.Errorf("%d connections for two requests", opened.Load())
		}
		clock.jump(0, time.Minute)
		request()
		awaitClosed(t, closed)
		if opened.Load() != 2 {
			t.Errorf("%d connections after a suspend", opened.Load())
		}
		w.agent.providers.closeIdle()
		awaitClosed(t, closed)
	}
}

func awaitClosed(t *testing.T, closed chan struct{}) {
	t.Helper()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Fatal("the connection stays open")
	}
}

func countStates(opened *atomic.Int32, closed chan struct{}) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
		case http.StateClosed:
			closed <- struct{}{}
		}
	}
}

// Changes in issuer.config take effect at once.
func TestIssuersReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	const issuer = "https://read-again.example/"
	dir, err := account.FindDir()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir.Path(), "issuer.config.d", "read-again")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		if err := account.WriteFile(path, []byte(`[{"issuer":"`+issuer+`","default_account":"`+name+`"}]`)); err != nil {
			t.Fatal(err)
		}
		if got := w.agent.issuerSettings(issuer).DefaultAccount; got != name {
			t.Errorf("default account %q, want %q", got, name)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := w.agent.issuerSettings(issuer).DefaultAccount; got != "" {
		t.Errorf("default account %q of a file that is gone", got)
	}
}
