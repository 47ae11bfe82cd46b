// Bench measures our programs, Debian's C programs, and floors: programs that do the minimum. They run interleaved, so
// that disturbances of the machine affect all of them alike. The ratios matter.
//
// ../../../build.sh bench installs what it needs and starts it in proto/interop. Start reading at the table benchmarks.
// report.go prints the table, world.go has provider and agents, and each other file measures one thing.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
)

// benchmarks lists everything that can be measured. The goals are where a figure is reported.
var benchmarks = []struct {
	name, what string
	quick      bool // it counts something, so --quick includes it
	run        func(*bench)
}{
	{"token", "oidc-token NAME, cached, whole process", true, benchToken},
	{"burst", "1,000 oidc-token, xargs -P 50", true, benchBurst},
	{"socket50", "cached tokens on the socket, 50 clients", false, func(b *bench) { benchSocket(b, 50) }},
	{"socket1", "cached tokens on the socket, 1 client", false, func(b *bench) { benchSocket(b, 1) }},
	{"storm", "1,000 clients at once on an expired token", true, benchStorm},
	{"force", "100 clients at once that demand a new token", true, benchForce},
	{"stall", "cached tokens while a provider is silent", false, benchStall},
	{"rotate", "a refresh with rotation", false, benchRotate},
	{"scopes", "20 scopes of one account at once", false, benchScopes},
	{"tls", "a refresh far away", false, benchTLS},
	{"ahead", "a token with little life left", false, benchAhead},
	{"idle", "an agent that nobody asks", false, benchIdle},
	{"memory", "memory of the agent", false, benchMemory},
	{"start", "start of the agent", true, benchStart},
	{"add", "oidc-add NAME, whole process", false, benchAdd},
	{"addall", "100 accounts under one password", false, benchAddAll},
	{"size", "size of the programs", true, benchSize},
	{"fakeidp", "fakeidp, refresh grants on one core", false, benchFakeidp},
	{"counts", "system calls, allocations, packages", true, benchCounts},
}

func main() {
	bin := flag.String("bin", "../../bin", "the folder of our programs; the floors are in its folder bench")
	quick := flag.Bool("quick", false, "only what can be counted; above its budget a count is a failure")
	plot := flag.Bool("plot", false, "measure growth and draw it into token/latency.svg, nothing else")
	var names []string
	flag.Parse()
	for flag.NArg() > 0 { // options may follow names
		names = append(names, flag.Arg(0))
		flag.CommandLine.Parse(flag.Args()[1:])
	}
	b := &bench{bin: *bin, quick: *quick}
	go b.endOnSignal()
	debug.SetMemoryLimit(256 << 20) // each derived key leaves 64 MiB of garbage
	if *plot {
		exit(b.try("plot", func(b *bench) { drawPlot(b, "../../token/latency.svg") }))
	}
	var errs []error
	for _, m := range benchmarks {
		if *quick && !m.quick || len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", m.name, m.what)
		b.chapter = m.name
		errs = append(errs, b.try(m.name, m.run))
	}
	if errs == nil {
		exit(errors.New("nothing measured: the names are in proto/interop/bench/main.go"))
	}
	b.print()
	exit(errors.Join(append(errs, b.overBudget())...))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// bench is one run: the results, and what must be stopped after each benchmark.
type bench struct {
	bin     string
	quick   bool
	chapter string
	figures []figure
	ends    []func()
}

// failed is a panic that ends a benchmark, so that measuring code needs no error handling.
type failed struct{ err error }

func check(err error) {
	if err != nil {
		panic(failed{err})
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func (b *bench) atEnd(end func()) { b.ends = append(b.ends, end) }

func (b *bench) end() {
	for _, end := range slices.Backward(b.ends) {
		end()
	}
	b.ends = nil
}

// endOnSignal also ends the agents, which have their own sessions.
func (b *bench) endOnSignal() {
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGINT, syscall.SIGTERM)
	<-ends
	b.end()
	os.Exit(130)
}

// try runs a benchmark and stops everything that it started.
func (b *bench) try(name string, run func(*bench)) (err error) {
	defer b.end()
	defer func() {
		stopped := recover()
		if f, ok := stopped.(failed); ok {
			err = fmt.Errorf("%s: %w", name, f.err)
			fmt.Fprintln(os.Stderr, "   ", err)
		} else if stopped != nil {
			panic(stopped)
		}
	}()
	run(b)
	return nil
}

// rounds returns the number of repetitions, fewer if only counts matter.
func (b *bench) rounds(n int) int {
	if b.quick {
		return max(1, n/10)
	}
	return n
}
