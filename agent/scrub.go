package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"oidc-agent/proto/cli"
)

// What is ours is wiped after use. net/http, crypto/tls and the key derivations leave copies in their buffers and
// strings, which is why the agent runs with two settings of Go's runtime that can be made in the environment only:
// the collector overwrites what it frees, and no goroutine is stopped at any place, where its registers, with a piece
// of a token in them, would be saved out of our reach.
const runtimeSettings = "clobberfree=1,asyncpreemptoff=1"

// idleTimeout is how long after the last exchange with a provider its traces are removed.
const idleTimeout = 5 * time.Minute

// scrub closes the connections that nobody uses and has the collector take all that is left of them. Their goroutines
// need the processor as well before they are gone.
func (a *agent) scrub() {
	end := time.Now().Add(2 * time.Second)
	open := int64(1)
	for n := 0; open > 0 && time.Now().Before(end) || n < 2; n++ {
		open = a.providers.closeIdle()
		time.Sleep(time.Duration(n-1) * time.Millisecond)
		runtime.GC() // what a sync.Pool holds survives the first one
	}
	debug.FreeOSMemory()
	if open > 0 {
		a.log.warning("%d connections to providers are still in memory", open)
	}
}

// environment is what an agent is started with: what the user has, the runtime's settings, and no secrets.
func environment() []string {
	settings := strings.TrimPrefix(os.Getenv("GODEBUG")+","+runtimeSettings, ",")
	return append(slices.DeleteFunc(cli.Environ(), func(v string) bool { return strings.HasPrefix(v, "GODEBUG=") }),
		"GODEBUG="+settings)
}

// prepared reports whether the process was started in such an environment. The settings are for the agent alone, not
// for the programs that it runs.
func prepared() bool {
	others, ok := strings.CutSuffix(os.Getenv("GODEBUG"), runtimeSettings)
	if ok {
		os.Setenv("GODEBUG", strings.TrimSuffix(others, ","))
	}
	return ok
}

// prepare starts an agent that stays in the foreground once more, in the environment of an agent.
func prepare() error {
	if prepared() {
		return nil
	}
	program, err := cli.Executable()
	if err == nil {
		err = syscall.Exec(program, os.Args, environment())
	}
	return fmt.Errorf("start the agent: %w", err)
}
