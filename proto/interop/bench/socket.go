package main

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
)

// ask is one request in bare system calls, the answer up to the end of the connection.
func ask(sock string, request []byte) ([]byte, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	if err := again(func() error { return syscall.Connect(fd, &syscall.SockaddrUnix{Name: sock}) }); err != nil {
		return nil, err
	}
	if _, err := syscall.Write(fd, request); err != nil {
		return nil, err
	}
	answer := make([]byte, 0, 8192)
	for {
		n := 0
		err := again(func() (err error) {
			n, err = syscall.Read(fd, answer[len(answer):cap(answer)])
			return err
		})
		if err != nil {
			return nil, err
		}
		if answer = answer[:len(answer)+n]; n == 0 {
			return answer, nil
		}
		answer = slices.Grow(answer, 1)
	}
}

func again(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

func tokenRequest(account, scope string, minValid int64) []byte {
	request := cjson.New().SetText("request", "access_token").SetText("account", account).SetInt("min_valid_period", minValid)
	if scope != "" {
		request.SetText("scope", scope)
	}
	return request.SetText("application_hint", "bench").Compact()
}

var errNoToken = errors.New("the answer is no token")

// askToken wants a token; the second that it must be valid beyond all bounds forces a new one.
func askToken(sock string, request []byte) error {
	answer, err := ask(sock, request)
	if err == nil && !bytes.Contains(answer, []byte(`"access_token"`)) {
		err = errors.Join(errNoToken, errors.New(string(answer)))
	}
	return err
}

const forced = 99999999 // seconds

// load is many clients, each of which asks as soon as it was answered.
type load struct {
	ask     func(client int) error
	clients int
	times   int           // of each client; 0: as often as it can for so long:
	last    time.Duration // a duration
}

type outcome struct {
	latencies []float64 // ms
	failures  float64
	took      time.Duration
	err       error // the first one
}

// run gives each client a processor of the runtime's: it sleeps in the kernel like a process of its own, and the
// runtime's scheduler is not what is measured.
func (l load) run() outcome {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(l.clients + 8))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	latencies := make([][]float64, l.clients)
	var failures atomic.Int64
	var first atomic.Pointer[error]
	var clients sync.WaitGroup
	gate := make(chan struct{})
	var begin time.Time
	for i := range l.clients {
		clients.Go(func() {
			<-gate
			for n := 0; n < l.times || l.times == 0 && time.Since(begin) < l.last; n++ {
				start := time.Now()
				if err := l.ask(i); err != nil {
					failures.Add(1)
					first.CompareAndSwap(nil, &err)
					if l.times == 0 {
						return
					}
				} else {
					latencies[i] = append(latencies[i], milliseconds(start))
				}
			}
		})
	}
	begin = time.Now()
	close(gate)
	clients.Wait()
	o := outcome{latencies: slices.Concat(latencies...), failures: float64(failures.Load()), took: time.Since(begin)}
	if err := first.Load(); err != nil {
		o.err = *err
	}
	return o
}

func milliseconds(since time.Time) float64 {
	return float64(time.Since(since)) / float64(time.Millisecond)
}

// same is a client's question that is always the same.
func same(sock string, request []byte) func(int) error {
	return func(int) error { return askToken(sock, request) }
}

// benchSocket has clients ask for a cached token, ours and C's in turn, and a server that only echoes.
func benchSocket(b *bench, clients int) {
	p := b.newProvider(0, iam.Settings{})
	request := tokenRequest("demo", "", 0)
	echoed := filepath.Join(b.tempDir(), "echo")
	echo := exec.Command(b.floor("echo"), echoed)
	echo.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as the agents: Linux shares processors out by session
	b.check(echo.Start())
	b.atEnd(func() { echo.Process.Kill(); echo.Wait() })
	b.awaitAnswer(echoed)
	questions := [3]func(int) error{floor: func(int) error { _, err := ask(echoed, request); return err }}
	for i, m := range makers {
		u := b.startAgent(m)
		u.load(p.account("demo"))
		questions[i] = same(u.sock, request)
	}
	var rate, p50, p99, worst, failures values
	for range 5 {
		for i, question := range questions {
			o := load{ask: question, clients: clients, last: 2 * time.Second}.run()
			rate.add(i, float64(len(o.latencies))/1000/o.took.Seconds())
			p50.add(i, quantile(o.latencies, 0.5)*1000)
			p99.add(i, quantile(o.latencies, 0.99))
			worst[i] = []float64{max(median(worst[i]), quantile(o.latencies, 1))}
			failures.add(i, o.failures)
		}
	}
	if clients == 1 {
		b.report("1 client, p50", " µs", "echo", p50, atMost(1.2, peer))
		return
	}
	b.report("50 clients, requests", " k/s", "echo", rate, atLeast(3, peer), atLeast(0.85, floor))
	b.report("50 clients, p99", " ms", "echo", p99, atMost(0.25, peer))
	b.report("50 clients, worst of all", " ms", "echo", worst, atMost(50, alone))
	b.report("50 clients, failures", "", "echo", failures, atMost(0, alone))
}

// benchStorm lets a token expire.
func benchStorm(b *bench) {
	var grants, failures, last values
	for i, m := range makers {
		p := b.newProvider(0, iam.Settings{AccessTokenLifetime: 2 * time.Second})
		u := b.startAgent(m)
		u.load(p.account("demo"))
		time.Sleep(2100 * time.Millisecond)
		p.Change(func(s *iam.Settings) { s.AccessTokenLifetime = time.Hour })
		grants[i], failures[i], last[i] = u.storm(p, "demo", 1000, 0, 300*time.Millisecond)
	}
	b.reportClients("1,000 clients, expired token", grants, failures, 1)
	b.report("the last one answered, over the grant's time", " ms", "", last, atMost(1000, alone))
}

func benchForce(b *bench) {
	var grants, failures, last values
	for i, m := range makers {
		p := b.newProvider(0, iam.Settings{})
		u := b.startAgent(m)
		u.load(p.account("demo"))
		grants[i], failures[i], last[i] = u.storm(p, "demo", 100, forced, 50*time.Millisecond)
	}
	b.reportClients("100 clients with -t 99999999", grants, failures, 3)
	b.report("the last one answered, over one grant's time", " ms", "", last)
}

// storm has many clients ask at once. The provider takes its time for a grant, so that all have come before it answers.
func (u *user) storm(p *provider, account string, clients int, minValid int64, grant time.Duration) (grants, failures, last []float64) {
	p.Fail(iam.Fault{Path: "token", Delay: grant})
	defer p.ClearFaults()
	var o outcome
	n := p.grants(func() {
		o = load{ask: same(u.sock, tokenRequest(account, "", minValid)), clients: clients, times: 1}.run()
	})
	return []float64{n}, []float64{o.failures}, []float64{quantile(o.latencies, 1) - float64(grant.Milliseconds())}
}

func (b *bench) reportClients(what string, grants, failures values, most float64) {
	b.report(what+": grants", "", "", grants, atMost(most, alone))
	b.report(what+": failures", "", "", failures, atMost(0, alone))
}

// benchStall has an account whose provider stays silent while somebody wants a new token of it. C's agent does
// nothing else meanwhile, so the silence ends.
func benchStall(b *bench) {
	var calm, stalled values
	for i, m := range makers {
		silent, healthy := b.newProvider(0, iam.Settings{}), b.newProvider(0, iam.Settings{})
		u := b.startAgent(m)
		u.load(silent.account("a"))
		u.load(healthy.account("b"))
		requests := [][]byte{tokenRequest("a", "", 0), tokenRequest("b", "", 0)}
		cached := load{ask: func(client int) error { return askToken(u.sock, requests[client%2]) }, clients: 4, last: 2 * time.Second}
		calm.add(i, quantile(cached.run().latencies, 0.99))
		silent.Fail(iam.Fault{Path: "token", Delay: 3 * time.Second})
		var waiting sync.WaitGroup
		waiting.Go(func() { askToken(u.sock, tokenRequest("a", "", forced)) })
		time.Sleep(50 * time.Millisecond)
		stalled.add(i, quantile(cached.run().latencies, 0.99))
		waiting.Wait()
	}
	b.report("4 clients of two accounts, p99, idle", " ms", "", calm)
	b.report("the same while the one's provider is silent", " ms", "", stalled, atMost(50, alone))
}
