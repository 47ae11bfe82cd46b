package main

import (
	"path/filepath"
	"strings"
	"sync"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
)

// benchRotate compares a refresh by the agent with the same refresh directly from here.
func benchRotate(b *bench) {
	var over, plain, blocked values
	b.each(iam.Settings{}, func(p *provider, u *user) { plain[u.make], _ = overProvider(p, u) })
	b.each(iam.Settings{Rotate: true}, func(p *provider, u *user) { over[u.make], blocked[u.make] = overProvider(p, u) })
	file := filepath.Join(b.tempDir(), "file")
	for range 100 {
		start := time.Now()
		check(account.WriteFile(file, make([]byte, 2000)))
		over.add(floor, milliseconds(start))
	}
	b.report("refresh with rotation, over the provider's own time", " ms", "a file written safely", over, atMost(3, alone))
	b.report("refresh without, over the provider's own time", " ms", "", plain)
	b.report("cached token of another account meanwhile, p99", " ms", "", blocked, atMost(10, alone))
}

// overProvider forces refreshes, alternating with refreshes without an agent. blocked are the times of another account's
// cached token during continuous refreshes.
func overProvider(p *provider, u *user) (over, blocked []float64) {
	u.loadFromFile(p.account("demo"))
	u.load(p.account("other"))
	refresh := u.question("demo", forced)
	var direct []float64
	for range [...]int{us: 100, peer: 10}[u.make] {
		start := time.Now()
		p.direct()
		direct = append(direct, milliseconds(start))
		start = time.Now()
		check(refresh(0))
		over = append(over, milliseconds(start))
	}
	for i := range over {
		over[i] -= median(direct)
	}
	var refreshing sync.WaitGroup
	end := time.Now().Add(3 * time.Second)
	refreshing.Go(func() {
		for time.Now().Before(end) {
			refresh(0)
		}
	})
	o := load{ask: u.question("other", 0), clients: 1, last: 3 * time.Second}.run()
	refreshing.Wait()
	check(o.err)
	return over, []float64{quantile(o.latencies, 0.99)}
}

// benchScopes asks for 20 different tokens at once from a provider that answers after 200 ms.
func benchScopes(b *bench) {
	for _, rotate := range []bool{false, true} {
		what, most := "20 scopes at once, no rotation", 400.0
		if rotate {
			what, most = "20 scopes at once, rotation: in series", 20*200+400
		}
		var s storm
		b.each(iam.Settings{Rotate: rotate}, func(p *provider, u *user) {
			u.loadFromFile(p.account("demo"))
			refresh, sets := u.question("demo", forced), scopes(20)
			check(refresh(0)) // now the agent knows whether it rotates
			one := func(client int) error { return askToken(u.sock, tokenRequest("demo", sets[client], 0)) }
			s.run(p, u, load{ask: one, clients: 20, times: 1}, 200*time.Millisecond)
			check(refresh(0)) // the last refresh token is not lost
		})
		b.report(what, " ms", "", s.took, atMost(most, alone))
		s.report(b, what, 20)
	}
}

// scopes returns n different scopes.
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

// benchTLS has a provider with a round trip of 40 ms. A new TCP connection costs nothing, because the proxy is local.
func benchTLS(b *bench) {
	const away = 20 * time.Millisecond
	var first, later values
	for _, make := range []int{us, peer} {
		p, u := b.newProvider(away, iam.Settings{}), b.startAgent(make)
		trips := func(v *values, do func()) {
			start := time.Now()
			do()
			v.add(make, float64(time.Since(start))/float64(2*away))
		}
		trips(&first, func() { u.load(p.account("demo")) })
		for range 30 {
			trips(&later, func() { check(u.question("demo", forced)(0)) })
		}
	}
	b.report("provider by TLS, 40 ms away: first use", " round trips", "", first)
	b.report("the same, every further refresh", " round trips", "", later, atMost(1.3, alone))
}

// benchAhead requests a token that has 15 % of its lifetime left. The provider answers after half a second, so the time
// shows whether a client waited for it.
func benchAhead(b *bench) {
	const life = 20 * time.Second
	p, u := b.newProvider(0, iam.Settings{AccessTokenLifetime: life}), b.startAgent(us)
	u.load(p.account("demo"))
	cached := u.question("demo", 0)
	check(cached(0))
	time.Sleep(life * 17 / 20)
	p.Fail(iam.Fault{Path: "token", Delay: 500 * time.Millisecond})
	var o outcome
	grants := p.grants(func() {
		o = load{ask: cached, clients: 50, times: 1}.run()
		time.Sleep(time.Second)
	})
	b.report("token with 15 % of its life left, 50 clients, slowest answer", " ms", "", values{{quantile(o.latencies, 1)}}, atMost(250, alone))
	b.report("the same: renewed behind their backs, grants", "", "", values{{grants}}, atMost(1, alone), atLeast(1, alone))
}
