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

// Our own code wipes secrets after use, but net/http, crypto/tls and the key derivations leave copies in buffers
// and strings. So the agent runs with two settings of Go's runtime that can only be made in the environment: the
// garbage collector overwrites what it frees, and goroutines are not preempted asynchronously, which would save
// their registers, perhaps with a part of a token, where we cannot wipe them.
const runtimeSettings = "clobberfree=1,asyncpreemptoff=1"

// idleTimeout is how long after the last exchange with a provider its traces are removed from memory.
const idleTimeout = 5 * time.Minute

// scrub closes idle connections and lets the garbage collector overwrite what is left of them. It repeats that,
// because the goroutines of the connections need some time to end.
func (a *agent) scrub() {
	end := time.Now().Add(2 * time.Second)
	open := int64(1)
	for n := 0; open > 0 && time.Now().Before(end) || n < 2; n++ {
		open = a.providers.closeIdle()
		time.Sleep(time.Duration(n-1) * time.Millisecond)
		runtime.GC() // the contents of a sync.Pool survive the first collection
	}
	debug.FreeOSMemory()
	if open > 0 {
		a.log.warning("%d connections to providers are still in memory", open)
	}
}

// environment returns the environment for an agent: the user's, without secrets, and the runtime's settings.
func environment() []string {
	settings := strings.TrimPrefix(os.Getenv("GODEBUG")+","+runtimeSettings, ",")
	return append(slices.DeleteFunc(cli.Environ(), func(v string) bool { return strings.HasPrefix(v, "GODEBUG=") }),
		"GODEBUG="+settings)
}

// prepared reports whether the process was started with environment. It removes the settings, which are not for
// programs that the agent runs.
func prepared() bool {
	others, ok := strings.CutSuffix(os.Getenv("GODEBUG"), runtimeSettings)
	if ok {
		os.Setenv("GODEBUG", strings.TrimSuffix(others, ","))
	}
	return ok
}

// prepare replaces the process by one that has the right environment, unless it has that already.
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
