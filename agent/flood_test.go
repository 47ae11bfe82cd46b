//go:build !race

package main

import (
	"strings"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/ipc"
)

// Whatever clients do, the others are answered, the agent lives, stays small, and keeps nothing open. The race detector
// multiplies memory, so build.sh runs this test without it.
func TestStorm(t *testing.T) {
	t.Parallel()
	const memory = 64 << 10 // KiB
	root := asRoot(t)       // may look at a process that hides its memory
	x := newTarget(newWorld(t, iam.Settings{}))
	key := publicKey(t)
	half := `{"request":"` + strings.Repeat("x", 3000)
	for _, storm := range []struct {
		name  string
		begin func() (release func())
	}{
		{"500 say nothing", func() func() { return x.hold(500, "") }},
		{"1100 say nothing", func() func() { return x.hold(1100, "") }},
		{"5000 say nothing", func() func() { return x.hold(5000, "") }},
		{"more than there is room for", func() func() { return x.hold(maxConnections+1000, "") }},
		{"5000 halves", func() func() { return x.hold(5000, half) }},
		{"1000 keys", func() func() { return x.hold(1000, key) }},
		{"halves of 200 kB", func() func() { return x.hold(500, `{"a":"`+strings.Repeat("x", 200_000)) }},
		{"100 MB", func() func() { return x.flood(30, "", `{"a":"`, "x") }},
		{"100 MB encrypted", func() func() { return x.flood(30, key, "1048576:", "A") }},
		{"vanish", func() func() { x.vanish(); return func() {} }},
		{"byte by byte", func() func() { x.trickle(cachedRequest); return func() {} }},
	} {
		files := 0
		if root {
			files = x.files()
		}
		release := storm.begin()
		for range 50 {
			x.ask(tokenFor("demo"))
		}
		release()
		if !root {
			continue
		}
		for deadline := time.Now().Add(20 * time.Second); x.files() > files && time.Now().Before(deadline); {
			x.ask(ipc.Request(ipc.RequestCheck))
		}
		if now := x.files(); now > files {
			t.Errorf("%s: %d files are open, %d were before", storm.name, now, files)
		}
		if now := x.peak(); now > memory {
			t.Errorf("%s: %d KiB of memory", storm.name, now)
		}
	}
}
