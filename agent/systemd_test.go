package main

import (
	"os"
	"strconv"
	"testing"
)

// The agent takes only sockets that are meant for this process, and does not pass the variables on to programs
// that it runs.
func TestActivationEnvironment(t *testing.T) {
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getppid()))
	if handedOver() {
		t.Error("it takes sockets of another process")
	}
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	t.Setenv("LISTEN_FDS", "0")
	t.Setenv("LISTEN_FDNAMES", "")
	t.Setenv("NOTIFY_SOCKET", "/no/such/socket")
	if !handedOver() {
		t.Error("it does not take its own sockets")
	}
	if _, err := activated(); err == nil {
		t.Error("it has taken a socket that does not exist")
	}
	if err := notifier()("READY=1"); err == nil {
		t.Error("no error for a missing socket")
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"} {
		if value, set := os.LookupEnv(name); set {
			t.Errorf("%s=%s is left", name, value)
		}
	}
}
