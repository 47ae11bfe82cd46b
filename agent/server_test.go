package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/ipc"
)

// serve lets the world's agent listen on a socket, and returns its path.
func (w *world) serve() string {
	w.Helper()
	sock, err := listen(filepath.Join(w.dir, "sock"), "")
	if err != nil {
		w.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		if err := w.agent.serve(w.Context(), sock.listener); err != nil {
			w.Errorf("serve: %v", err)
		}
	})
	w.Cleanup(func() {
		sock.remove()
		served.Wait()
	})
	return sock.path
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Clients that say nothing, half a message or rubbish keep nobody from being answered, and leave nothing behind.
// It is not parallel, for it counts what the process has.
func TestServe(t *testing.T) {
	w := newWorld(t, iam.Settings{})
	w.must(w.agent, addRequest(w.account("serve"), ""))
	path := w.serve()
	w.agent.providers.closeIdle()
	files, goroutines := descriptors(t), runtime.NumGoroutine()+maxFree-1
	var idle []net.Conn
	for _, begin := range []string{"", "{", `{"request":`, "AAAA"} {
		for range 25 {
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			idle = append(idle, conn)
			if _, err := io.WriteString(conn, begin); err != nil {
				t.Fatal(err)
			}
		}
	}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if answer, err := ipc.Call(path, tokenFor("serve"), 5*time.Second); err != nil || answer.Text("status") != "success" {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	for _, conn := range idle {
		conn.Close()
	}
	deadline := time.Now().Add(5 * time.Second)
	for (descriptors(t) > files || runtime.NumGoroutine() > goroutines) && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if now := descriptors(t); now > files {
		t.Errorf("%d files are open, %d were before", now, files)
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines run, %d ran before", now, goroutines)
	}
}

// What is no request is answered at once.
func TestServeRubbish(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	path := w.serve()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "[1] is no request"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if want := `{"status":"failure","error":"Bad Request: malformed JSON at byte 0: neither an object nor a public key"}`; err != nil || string(answer) != want {
		t.Errorf("answered %q, %v", answer, err)
	}
}
