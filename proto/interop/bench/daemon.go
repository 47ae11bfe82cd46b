package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"oidc-agent/fakeidp/iam"
)

// benchStart starts agents and sends each a request as soon as a shell could.
func benchStart(b *bench) {
	var took, failures values
	users := [2]*user{b.newUser(us), b.newUser(peer)}
	for range b.rounds(50) {
		for i, u := range users {
			start := time.Now()
			u.start()
			took.add(i, milliseconds(start))
			u.stop()
		}
	}
	evals := b.rounds(200)
	for i, u := range users {
		missed := 0
		shell := u.command("oidc-add")
		shell.Args = []string{"sh", "-c", `eval $("$1"); "$2" -a || echo missed; kill $OIDCD_PID`, "sh", u.command("oidc-agent").Path, shell.Path}
		shell.Path = "/bin/sh"
		for range evals {
			again := *shell
			missed += strings.Count(string(must(again.Output())), "missed")
		}
		failures.add(i, float64(missed))
	}
	b.report("oidc-agent until its first answer", " ms", "", took, atMost(1.5, peer))
	b.report(fmt.Sprintf("%d first requests after eval: failures", evals), "", "", failures, atMost(0, alone))
}

// sum adds up a field of files like /proc/PID/status over all processes of the agent.
func (u *user) sum(pattern, field string) (sum float64) {
	for _, pid := range u.pids() {
		files, _ := filepath.Glob(fmt.Sprintf(pattern, pid))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			_, value, _ := strings.Cut(string(text), "\n"+field+":")
			sum += toNumber(strings.Fields(value)[0])
		}
	}
	return sum
}

// ticks returns the CPU time of processes, in ticks of 10 ms.
func ticks(pids ...int) (sum float64) {
	for _, pid := range pids {
		text := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))))
		fields := strings.Fields(text[strings.LastIndex(text, ")")+1:]) // proc(5): the third field is the first here
		sum += toNumber(fields[11]) + toNumber(fields[12])              // utime, stime
	}
	return sum
}

// benchIdle measures idle agents with 100 accounts for a minute.
func benchIdle(b *bench) {
	const minute = 60 * time.Second
	p := b.newProvider(0, iam.Settings{})
	users := [2]*user{b.startAgent(us), b.startAgent(peer)}
	for _, u := range users {
		u.loadMany(p, 0, 100)
	}
	time.Sleep(5 * time.Second) // until the work after the last request is done
	look := func(u *user) [2]float64 {
		return [2]float64{ticks(u.pids()...), u.sum("/proc/%d/task/*/status", "voluntary_ctxt_switches")}
	}
	before := [2][2]float64{look(users[us]), look(users[peer])}
	requests := p.grants(func() { time.Sleep(minute) })
	var used, wakeups values
	for i, u := range users {
		now := look(u)
		used.add(i, now[0]-before[i][0])
		wakeups.add(i, (now[1]-before[i][1])/minute.Seconds())
	}
	b.report("100 accounts, 60 s: requests to the provider", "", "", values{{requests}}, atMost(0, alone))
	b.report("the same: ticks of CPU", "", "", used, atMost(0, alone))
	b.report("the same: wake-ups", " /s", "", wakeups, atMost(0.99, alone))
}

// benchMemory measures the memory with more and more accounts, and after operations that need memory for a while. Pss
// counts a shared page as a part for each process.
func benchMemory(b *bench) {
	var one, hundred, thousand, each, after, endless values
	b.each(iam.Settings{}, func(p *provider, u *user) {
		settled := func(v *values) float64 {
			time.Sleep(5 * time.Second)
			mib := u.sum("/proc/%d/smaps_rollup", "Pss") / 1024
			v.add(u.make, mib)
			return mib
		}
		lifetime := func(d time.Duration) { p.Change(func(s *iam.Settings) { s.AccessTokenLifetime = d }) }
		u.loadMany(p, 0, 1)
		first := settled(&one)
		u.loadMany(p, 1, 100)
		settled(&hundred)
		u.loadMany(p, 100, 999)
		lifetime(time.Second)
		u.loadMany(p, 999, 1000)
		each.add(u.make, (settled(&thousand)-first)*1024/999)
		lifetime(time.Hour)
		new(storm).run(p, u, load{ask: u.question("account999", 0), clients: 1000, times: 1}, 300*time.Millisecond)
		settled(&after)
		if u.make == us { // C's agent would read forever
			p.Fail(iam.Fault{Path: "token", Endless: true, Times: 1})
			u.question("account0", forced)(0)
			settled(&endless)
		}
	})
	b.report("Pss, 1 account", " MiB", "", one, atMost(12, alone))
	b.report("Pss, 100 accounts", " MiB", "", hundred)
	b.report("Pss, 1,000 accounts", " MiB", "", thousand)
	b.report("each account of them", " KiB", "", each, atMost(12, alone))
	grown := atMost(median(thousand[us])+3, alone)
	b.report("Pss after 1,000 clients at once", " MiB", "", after, grown)
	b.report("Pss after an answer without an end", " MiB", "", endless, grown)
}
