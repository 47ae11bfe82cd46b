package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/ipc"
)

// A process that listens on the socket but does not answer, perhaps a service manager, is not an agent.
func TestServiceSilent(t *testing.T) {
	for _, name := range []string{"HOME", "OIDC_CONFIG_DIR", "XDG_RUNTIME_DIR", "TMPDIR"} {
		t.Setenv(name, t.TempDir())
	}
	sock, err := listen(ipc.DefaultSocketPath(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer sock.remove()
	listener, err := net.FileListener(sock.listener)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for c, err := listener.Accept(); err == nil; c, err = listener.Accept() {
			c.Close()
		}
	}()
	for _, command := range []string{"start", "use", "stop"} {
		if err := runService([]string{command}); !errors.Is(err, ipc.ErrNoAnswer) {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// answerer listens on a socket and answers each request with a text.
func answerer(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for c, err := listener.Accept(); err == nil; c, err = listener.Accept() {
			c.Read(make([]byte, 4096))
			c.Write([]byte(text))
			c.Close()
		}
	}()
	return path
}

// A restart keeps the options of the running agent if that tells them, and takes those of the options file otherwise.
func TestRestartOptions(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"status":"success","info":{"command_line_options":"-d -t 5"}}`: "-d -t 5",
		`{"status":"success","info":{}}`:                                 "",
		`{"status":"success"}`:                                           "-c",
		`{"status":"success","info":"none"}`:                             "-c",
		`{"status":"failure","error":"Agent locked"}`:                    "-c",
	} {
		s := &service{values: map[string]string{"OIDC_AGENT_RESTART_WITH_SAME_OPTS": "True", "OIDC_AGENT_OPTS": "-c"}}
		if got := strings.Join(s.restartOptions(&running{path: answerer(t, answer)}), " "); got != want {
			t.Errorf("%s: options %q, want %q", answer, got, want)
		}
	}
}

// The kernel says which user's process listens. One of another user is not the user's agent, whatever it answers.
func TestLook(t *testing.T) {
	t.Parallel()
	w := &world{TB: t, log: new(buffer), dir: t.TempDir()}
	w.agent = w.newAgent()
	path := w.serve()
	if r := look(path); r == nil || r.pid != os.Getpid() || r.err != nil || r.pidFile != "" {
		t.Errorf("found %+v", r)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "oidc-agent.pid"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := look(path); r == nil || r.pidFile != "" {
		t.Errorf("took the pid file of another process: %+v", r)
	}
	if r := look(filepath.Join(w.dir, "none")); r != nil {
		t.Errorf("found %+v where nobody listens", r)
	}
	if !asRoot(t) {
		return
	}
	sock, err := listen(filepath.Join(w.dir, "strange"), "")
	if err != nil {
		t.Fatal(err)
	}
	fd := int(sock.listener.Fd())
	done := make(chan error)
	go func() {
		err := becomeThread(65534, 65534, nil)
		if err == nil {
			err = unix.Listen(fd, 1)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	defer sock.remove()
	if r := look(sock.path); r != nil {
		t.Errorf("found an agent of another user: %+v", r)
	}
}
