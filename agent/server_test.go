package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// serve makes the world's agent listen on a socket and returns its path.
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

// Clients that send nothing, half a message or garbage do not delay others, and leak nothing. The test is not
// parallel, because it counts the descriptors of the whole process.
func TestServe(t *testing.T) {
	w := newWorld(t, iam.Settings{})
	w.must(w.agent, addRequest(w.account("serve"), ""))
	path := w.serve()
	w.agent.providers.closeIdle()
	files, goroutines := descriptors(t), runtime.NumGoroutine()+maxIdle-1
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

// Input that is not a request is answered at once.
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

// An agent that is told to end still writes the answers that it has begun, and disconnects clients that have sent no
// request.
func TestServeEnds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sock")
	cmd := exec.Command(programLink(t), "-d", "-a", path)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	ask := func(request *cjson.Object) net.Conn {
		conn, err := net.Dial("unix", path)
		if err == nil {
			_, err = conn.Write(request.Compact())
		}
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	note := strings.Repeat("x", ipc.MaxMessage/2) // more than the socket's buffer holds
	write := ipc.Request(ipc.RequestFileWrite).SetText(ipc.KeyFilename, "note").SetText(ipc.KeyData, note)
	if answer, err := ipc.Answer(ask(write)); err != nil || ipc.Check(answer) != nil {
		t.Fatal(err)
	}
	silent, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	reading := ask(ipc.Request(ipc.RequestFileRead).SetText(ipc.KeyFilename, "note"))
	defer reading.Close()
	first := make([]byte, 1)
	if _, err := reading.Read(first); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if n, err := silent.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		t.Errorf("a silent client got %d bytes, %v", n, err)
	}
	answer, err := ipc.Answer(io.MultiReader(bytes.NewReader(first), reading))
	if err != nil || answer.Text(ipc.KeyData) != note {
		t.Errorf("the answer was broken off: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
