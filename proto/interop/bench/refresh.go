package main

import (
	"path/filepath"
	"strings"
	"sync"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
)

// benchRotate compares a refresh through the agent with the same refresh straight from here.
func benchRotate(b *bench) {
	var over, plain, blocked values
	for i, m := range makers {
		rounds := [...]int{100, 10}[i]
		plain[i], _ = b.overProvider(m, rounds, iam.Settings{})
		over[i], blocked[i] = b.overProvider(m, rounds, iam.Settings{Rotate: true})
	}
	file := filepath.Join(b.tempDir(), "file")
	for range 100 {
		start := time.Now()
		b.check(account.WriteFile(file, make([]byte, 2000)))
		over.add(floor, milliseconds(start))
	}
	b.report("refresh with rotation, over the provider's own time", " ms", "a file written safely", over, atMost(3, alone))
	b.report("refresh without, over the provider's own time", " ms", "", plain)
	b.report("cached token of another account meanwhile, p99", " ms", "", blocked, atMost(10, alone))
}

// overProvider forces refreshes, each beside one without an agent. blocked is what another account's cached token takes
// while refreshes follow each other.
func (b *bench) overProvider(m maker, rounds int, settings iam.Settings) (over, blocked []float64) {
	p := b.newProvider(0, settings)
	u := b.startAgent(m)
	u.loadFromFile(p.account("demo"))
	u.load(p.account("other"))
	request := tokenRequest("demo", "", forced)
	var direct []float64
	for range rounds {
		start := time.Now()
		p.direct()
		direct = append(direct, milliseconds(start))
		start = time.Now()
		b.check(askToken(u.sock, request))
		over = append(over, milliseconds(start))
	}
	for i := range over {
		over[i] -= median(direct)
	}
	var refreshing sync.WaitGroup
	end := time.Now().Add(3 * time.Second)
	refreshing.Go(func() {
		for time.Now().Before(end) {
			askToken(u.sock, request)
		}
	})
	o := load{ask: same(u.sock, tokenRequest("other", "", 0)), clients: 1, last: 3 * time.Second}.run()
	refreshing.Wait()
	b.check(o.err)
	return over, []float64{quantile(o.latencies, 0.99)}
}

// benchScopes asks for 20 different tokens at once from a provider that thinks for 200 ms.
func benchScopes(b *bench) {
	for _, rotate := range []bool{false, true} {
		what, most := "20 scopes at once, no rotation", 400.0
		if rotate {
			what, most = "20 scopes at once, rotation: in series", 20*200+400
		}
		var took, failures, grants values
		for i, m := range makers {
			p := b.newProvider(0, iam.Settings{Rotate: rotate})
			u := b.startAgent(m)
			u.loadFromFile(p.account("demo"))
			b.check(askToken(u.sock, tokenRequest("demo", "", forced))) // now the agent knows whether it rotates
			p.Fail(iam.Fault{Path: "token", Delay: 200 * time.Millisecond})
			sets := scopes(20)
			var o outcome
			grants.add(i, p.grants(func() {
				o = load{ask: func(client int) error { return askToken(u.sock, tokenRequest("demo", sets[client], 0)) }, clients: 20, times: 1}.run()
			}))
			p.ClearFaults()
			b.check(askToken(u.sock, tokenRequest("demo", "", forced))) // the last refresh token is not lost
			took.add(i, float64(o.took.Milliseconds()))
			failures.add(i, o.failures)
		}
		b.report(what, " ms", "", took, atMost(most, alone))
		b.reportClients(what, grants, failures, 20)
	}
}

// scopes are n different sets of words.
func scopes(n int) (sets []string) {
	for bits := 1; len(sets) < n; bits++ {
		var words []string
		for i, word := range strings.Fields(scope) {
			if bits&(1<<i) != 0 {
				words = append(words, word)
			}
		}
		sets = append(sets, strings.Join(words, " "))
	}
	return sets
}

// benchTLS has the provider 40 ms away. A new TCP connection costs nothing here, for the proxy stands near.
func benchTLS(b *bench) {
	const away = 20 * time.Millisecond
	trips := func(since time.Time) float64 { return float64(time.Since(since)) / float64(2*away) }
	var first, later values
	for i, m := range makers {
		p := b.newProvider(away, iam.Settings{})
		u := b.startAgent(m)
		start := time.Now()
		u.load(p.account("demo"))
		first.add(i, trips(start))
		for range 30 {
			start := time.Now()
			b.check(askToken(u.sock, tokenRequest("demo", "", forced)))
			later.add(i, trips(start))
		}
	}
	b.report("provider by TLS, 40 ms away: first use", " round trips", "", first)
	b.report("the same, every further refresh", " round trips", "", later, atMost(1.3, alone))
}

// benchAhead asks when the token has 15 % of its life left. The provider thinks for half a second: who waits for it
// shows.
func benchAhead(b *bench) {
	const life = 20 * time.Second
	p := b.newProvider(0, iam.Settings{AccessTokenLifetime: life})
	u := b.startAgent(us)
	u.load(p.account("demo"))
	request := tokenRequest("demo", "", 0)
	b.check(askToken(u.sock, request))
	time.Sleep(life * 17 / 20)
	p.Fail(iam.Fault{Path: "token", Delay: 500 * time.Millisecond})
	var o outcome
	grants := p.grants(func() {
		o = load{ask: same(u.sock, request), clients: 50, times: 1}.run()
		time.Sleep(time.Second)
	})
	b.report("token with 15 % of its life left, 50 clients, slowest answer", " ms", "", values{{quantile(o.latencies, 1)}}, atMost(250, alone))
	b.report("the same: renewed behind their backs, grants", "", "", values{{grants}}, atMost(1, alone), atLeast(1, alone))
}
