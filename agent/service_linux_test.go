package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/ipc"
)

// Behind a socket on which somebody listens and does not answer, a service manager perhaps, no agent runs.
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

// Who listens is asked of the kernel. A stranger who answers as an agent does is none.
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
		t.Errorf("a pid file of another process counts: %+v", r)
	}
	if r := look(filepath.Join(w.dir, "none")); r != nil {
		t.Errorf("found %+v where nothing is", r)
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
		t.Errorf("a stranger's: %+v", r)
	}
}
