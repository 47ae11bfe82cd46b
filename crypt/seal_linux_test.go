package crypt

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

// No part of a secret is left on the stack of a goroutine that has sealed and opened it.
func TestSealerLeavesNothing(t *testing.T) {
	s := NewSealer()
	text := make([]byte, 137)
	rand.Read(text)
	masked := make([]byte, 16) // its end, inverted so that the search does not find itself
	for i := range masked {
		masked[i] = ^text[len(text)-16+i]
	}
	opened, end := make(chan error), make(chan bool)
	defer close(end)
	go func() {
		again, err := s.Open(s.Seal(secret.New(text)))
		again.Wipe()
		opened <- err
		<-end // until then the stack does not change
	}()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	inverted := make([]byte, 64<<10)
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		if fmt.Sscanf(line, "%x-%x", &from, &to); !strings.Contains(line, " rw") || to-from > 1<<28 { // the race detector's
			continue
		}
		for at := from; at < to; at += int64(len(inverted) - len(masked)) {
			n, _ := memory.ReadAt(inverted[:min(int64(len(inverted)), to-at)], at)
			for i := range n {
				inverted[i] = ^inverted[i]
			}
			if i := bytes.Index(inverted[:n], masked); i >= 0 {
				t.Errorf("the end of the secret is at %x", at+int64(i))
			}
			clear(inverted) // inverted, masked is the secret again
		}
	}
}
