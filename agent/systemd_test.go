package main

import (
	"os"
	"strconv"
	"testing"
)

// What was said to the agent is not said to the programs that it runs, nor is anything that was meant for another process
// taken.
func TestActivationEnvironment(t *testing.T) {
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getppid()))
	if handedOver() {
		t.Error("it takes what another process was given")
	}
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	t.Setenv("LISTEN_FDS", "0")
	t.Setenv("LISTEN_FDNAMES", "")
	t.Setenv("NOTIFY_SOCKET", "/no/such/socket")
	if !handedOver() {
		t.Error("it does not take what it was given")
	}
	if _, err := activated(); err == nil {
		t.Error("it has taken a socket that there is not")
	}
	if err := notifier()("READY=1"); err == nil {
		t.Error("nobody has heard it")
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"} {
		if value, set := os.LookupEnv(name); set {
			t.Errorf("%s=%s is left", name, value)
		}
	}
}
