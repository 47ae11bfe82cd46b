package main

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
)

// ask makes one request with bare system calls and reads the answer until the end of the connection.
func ask(sock string, request []byte) ([]byte, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	again := func(call func() error) {
		for err = call(); err == syscall.EINTR; {
			err = call()
		}
	}
	again(func() error { return syscall.Connect(fd, &syscall.SockaddrUnix{Name: sock}) })
	if err == nil {
		_, err = syscall.Write(fd, request)
	}
	answer, length := make([]byte, 8192), 0
	for err == nil {
		n := 0
		again(func() error { n, err = syscall.Read(fd, answer[length:]); return err })
		if length += max(n, 0); n == 0 {
			break
		}
	}
	return answer[:length], err
}

func tokenRequest(account, scope string, minValid int64) []byte {
	request := cjson.New().SetText("request", "access_token").SetText("account", account).SetInt("min_valid_period", minValid)
	if scope != "" {
		request.SetText("scope", scope)
	}
	return request.SetText("application_hint", "bench").Compact()
}

// askToken requests a token that must be valid for so many seconds; forced gets a new one each time.
func askToken(sock string, request []byte) error {
	answer, err := ask(sock, request)
	if err == nil && !bytes.Contains(answer, []byte(`"access_token"`)) {
		err = fmt.Errorf("the answer is no token: %s", answer)
	}
	return err
}

// forced is longer, in seconds, than any token is valid.
const forced = 99999999

// load is many clients, each of which sends the next request as soon as it has an answer.
type load struct {
	ask     func(client int) error
	clients int
	times   int           // requests of each client; 0: as many as possible during last
	last    time.Duration // used if times is 0
}

type outcome struct {
	latencies []float64 // ms
	failures  float64
	took      time.Duration
	err       error // of a client that failed
}

// run gives each client its own P of the Go runtime: it sleeps in the kernel like a process, and the runtime's scheduler
// is not measured.
func (l load) run() (all outcome) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(l.clients + 8))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	outcomes := make([]outcome, l.clients)
	var clients sync.WaitGroup
	gate := make(chan struct{})
	var begin time.Time
	for i := range l.clients {
		clients.Go(func() {
			<-gate
			o := &outcomes[i]
			for n := 0; n < l.times || l.times == 0 && o.err == nil && time.Since(begin) < l.last; n++ {
				start := time.Now()
				if err := l.ask(i); err != nil {
					o.failures, o.err = o.failures+1, err
				} else {
					o.latencies = append(o.latencies, milliseconds(start))
				}
			}
		})
	}
	begin = time.Now()
	close(gate)
	clients.Wait()
	all.took = time.Since(begin)
	for _, o := range outcomes {
		all.latencies = append(all.latencies, o.latencies...)
		all.failures += o.failures
		all.err = cmp.Or(all.err, o.err)
	}
	return all
}

func milliseconds(since time.Time) float64 {
	return float64(time.Since(since)) / float64(time.Millisecond)
}

// question returns a client that repeats one request.
func (u *user) question(account string, minValid int64) func(int) error {
	request := tokenRequest(account, "", minValid)
	return func(int) error { return askToken(u.sock, request) }
}

// benchSocket measures requests for a cached token, at our agent and C's in turn, and at a server that only echoes.
func benchSocket(b *bench, clients int) {
	echoed := filepath.Join(b.tempDir(), "echo")
	echo := b.floor("echo", echoed)
	echo.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // like the agents, because Linux shares processors by session
	check(echo.Start())
	b.atEnd(func() { echo.Process.Kill(); echo.Wait() })
	awaitAnswer(echoed)
	request := tokenRequest("demo", "", 0)
	questions := [3]func(int) error{floor: func(int) error { _, err := ask(echoed, request); return err }}
	b.each(iam.Settings{}, func(p *provider, u *user) {
		u.load(p.account("demo"))
		questions[u.make] = u.question("demo", 0)
	})
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

// benchStorm measures many requests for an expired token.
func benchStorm(b *bench) {
	var s storm
	b.each(iam.Settings{AccessTokenLifetime: 2 * time.Second}, func(p *provider, u *user) {
		u.load(p.account("demo"))
		time.Sleep(2100 * time.Millisecond)
		p.Change(func(s *iam.Settings) { s.AccessTokenLifetime = time.Hour })
		s.run(p, u, load{ask: u.question("demo", 0), clients: 1000, times: 1}, 300*time.Millisecond)
	})
	s.report(b, "1,000 clients, expired token", 1)
	b.report("the last one answered, over the grant's time", " ms", "", s.last, atMost(1000, alone))
}

func benchForce(b *bench) {
	var s storm
	b.each(iam.Settings{}, func(p *provider, u *user) {
		u.load(p.account("demo"))
		s.run(p, u, load{ask: u.question("demo", forced), clients: 100, times: 1}, 50*time.Millisecond)
	})
	s.report(b, "100 clients with -t 99999999", 3)
	b.report("the last one answered, over one grant's time", " ms", "", s.last)
}

// storm is many concurrent clients and what they measure.
type storm struct{ grants, failures, took, last values }

// run delays the provider's grant until all requests have arrived.
func (s *storm) run(p *provider, u *user, l load, grant time.Duration) {
	p.Fail(iam.Fault{Path: "token", Delay: grant})
	defer p.ClearFaults()
	var o outcome
	s.grants.add(u.make, p.grants(func() { o = l.run() }))
	s.failures.add(u.make, o.failures)
	s.took.add(u.make, float64(o.took.Milliseconds()))
	s.last.add(u.make, quantile(o.latencies, 1)-float64(grant.Milliseconds()))
}

func (s *storm) report(b *bench, what string, mostGrants float64) {
	b.report(what+": grants", "", "", s.grants, atMost(mostGrants, alone))
	b.report(what+": failures", "", "", s.failures, atMost(0, alone))
}

// benchStall has an account whose provider is silent while a client requests a new token. C's agent does nothing else
// in the meantime, so the silence ends.
func benchStall(b *bench) {
	var calm, stalled values
	b.each(iam.Settings{}, func(silent *provider, u *user) {
		u.load(silent.account("a"))
		u.load(b.newProvider(0, iam.Settings{}).account("b"))
		questions := [2]func(int) error{u.question("a", 0), u.question("b", 0)}
		cached := load{ask: func(client int) error { return questions[client%2](client) }, clients: 4, last: 2 * time.Second}
		calm.add(u.make, quantile(cached.run().latencies, 0.99))
		silent.Fail(iam.Fault{Path: "token", Delay: 3 * time.Second})
		var waiting sync.WaitGroup
		waiting.Go(func() { u.question("a", forced)(0) })
		time.Sleep(50 * time.Millisecond)
		stalled.add(u.make, quantile(cached.run().latencies, 0.99))
		waiting.Wait()
	})
	b.report("4 clients of two accounts, p99, idle", " ms", "", calm)
	b.report("the same while the one's provider is silent", " ms", "", stalled, atMost(50, alone))
}
