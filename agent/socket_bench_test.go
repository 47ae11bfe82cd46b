package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
)

// loadName makes the test binary act as many clients, in its own process so that it does not share the server's
// scheduler.
const loadName = "load"

// load sends requests from several clients at once and prints figures. Its arguments are the socket's path, the
// number of clients, the number of requests in all, and the request.
func load(args []string) {
	clients, _ := strconv.Atoi(args[1])
	requests, _ := strconv.Atoi(args[2])
	runtime.GOMAXPROCS(clients) // they block in system calls, and the kernel schedules them
	var next, failures atomic.Int64
	took := make([]time.Duration, requests)
	var all sync.WaitGroup
	begin := time.Now()
	for range clients {
		all.Go(func() {
			answer := make([]byte, 1<<16)
			for i := next.Add(1) - 1; i < int64(requests); i = next.Add(1) - 1 {
				start := time.Now()
				if err := askOnce(args[0], args[3], answer); err != nil {
					failures.Add(1)
				}
				took[i] = time.Since(start)
			}
		})
	}
	all.Wait()
	total := time.Since(begin)
	slices.Sort(took)
	fmt.Println(failures.Load(), total.Nanoseconds(), took[requests/2].Nanoseconds(), took[requests*99/100].Nanoseconds(), took[requests-1].Nanoseconds())
	os.Exit(0)
}

// askOnce sends one request with blocking system calls, as C clients do.
func askOnce(path, request string, answer []byte) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	if _, err := syscall.Write(fd, []byte(request)); err != nil {
		return err
	}
	n, err := syscall.Read(fd, answer)
	if err == nil && n == 0 {
		err = errors.New("no answer")
	}
	return err
}

// figures are the measurements of load.
type figures struct{ total, p50, p99, worst time.Duration }

// measure runs load. A failed request ends the benchmark.
func measure(b *testing.B, path string, clients, requests int, request string) (f figures) {
	b.Helper()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Args = []string{loadName, path, strconv.Itoa(clients), strconv.Itoa(requests), request}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	failures := 0
	if _, err := fmt.Sscan(string(out), &failures, &f.total, &f.p50, &f.p99, &f.worst); err != nil || failures > 0 {
		b.Fatalf("%d of %d requests failed, %v", failures, requests, err)
	}
	return f
}

func (f figures) report(b *testing.B, requests int) {
	b.ReportMetric(float64(requests)/f.total.Seconds(), "requests/s")
	b.ReportMetric(float64(f.p50.Microseconds()), "p50-µs")
	b.ReportMetric(float64(f.p99.Microseconds()), "p99-µs")
	b.ReportMetric(float64(f.worst.Microseconds()), "worst-µs")
}

const cachedRequest = `{"request":"access_token","account":"demo","min_valid_period":0,"application_hint":"oidc-token"}`

// BenchmarkSocket measures the agent giving out a cached token, and a plain Go server that only accepts, reads,
// writes and closes. Compare them within one run.
func BenchmarkSocket(b *testing.B) {
	w := newWorld(b, iam.Settings{})
	w.must(w.agent, addRequest(w.account("demo"), ""))
	servers := []struct{ name, path string }{
		{"echo", echo(b, len(w.must(w.agent, tokenFor("demo")).Compact()))},
		{"agent", w.serve()},
	}
	for _, clients := range []int{1, 50} {
		for _, server := range servers {
			b.Run(fmt.Sprintf("%s/%d", server.name, clients), func(b *testing.B) {
				b.ReportAllocs()
				before := cpuTime(b)
				measure(b, server.path, clients, b.N, cachedRequest).report(b, b.N)
				b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1000/float64(b.N), "server-cpu-µs/op")
			})
		}
	}
}

// cpuTime returns the processor time of this process, which is a fair measure also on a busy machine.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// echo starts a server that answers any request with size bytes, and returns the path of its socket.
func echo(b *testing.B, size int) (path string) {
	path = filepath.Join(b.TempDir(), "echo")
	listener, err := net.Listen("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	answer := make([]byte, size)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				var request [4096]byte
				if _, err := conn.Read(request[:]); err == nil {
					conn.Write(answer)
				}
			}()
		}
	}()
	return path
}
