package main

import (
	"runtime"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
)

// Some time after an exchange its connection is closed and its buffers are collected.
func TestIdle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.load("idle")
	client, err := w.agent.client("")
	if err != nil {
		t.Fatal(err)
	}
	if client.Open() == 0 {
		t.Error("there was no connection")
	}
	if left := w.agent.idle.Reset(0); !left {
		t.Error("nobody would have closed it")
	}
	for deadline := time.Now().Add(time.Minute); client.Open() > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the connection is still there")
		}
	}
}
