package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"oidc-agent/fakeidp/iam"
)

// benchStart starts agents, and asks each as soon as a shell could.
func benchStart(b *bench) {
	var took, failures values
	users := [2]*user{b.newUser(us), b.newUser(kit)}
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
		for range evals {
			cmd := exec.Command("/bin/sh", "-c", `eval $("$1"); "$2" -a || echo missed; kill $OIDCD_PID`, "sh", u.program("oidc-agent"), u.program("oidc-add"))
			cmd.Env = u.env
			missed += strings.Count(string(must[[]byte](b)(cmd.Output())), "missed")
		}
		failures.add(i, float64(missed))
	}
	b.report("oidc-agent until its first answer", " ms", "", took, atMost(1.5, peer))
	b.report(fmt.Sprintf("%d first requests after eval: failures", evals), "", "", failures, atMost(0, alone))
}

// sum adds up a field of files that look like /proc/PID/status, over all of the agent's processes.
func (u *user) sum(pattern, field string) (sum float64) {
	for _, pid := range u.pids() {
		files, _ := filepath.Glob(fmt.Sprintf(pattern, pid))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			_, value, _ := strings.Cut(string(text), "\n"+field+":")
			sum += must[float64](u.b)(strconv.ParseFloat(strings.Fields(value)[0], 64))
		}
	}
	return sum
}

// ticks is the processors' time that processes have had, in ticks of 10 ms.
func (b *bench) ticks(pids ...int) (sum float64) {
	for _, pid := range pids {
		text := string(must[[]byte](b)(os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))))
		fields := strings.Fields(text[strings.LastIndex(text, ")")+1:]) // proc(5): the third field is the first here
		for _, f := range fields[11:13] {                               // utime, stime
			sum += must[float64](b)(strconv.ParseFloat(f, 64))
		}
	}
	return sum
}

func (u *user) wakeups() float64 { return u.sum("/proc/%d/task/*/status", "voluntary_ctxt_switches") }

// benchIdle leaves agents with 100 accounts alone for a minute.
func benchIdle(b *bench) {
	const minute = 60 * time.Second
	p := b.newProvider(0, iam.Settings{})
	users := [2]*user{b.startAgent(us), b.startAgent(kit)}
	var before, ticks, wakeups [2]float64
	for _, u := range users {
		u.loadMany(p, 0, 100)
	}
	time.Sleep(5 * time.Second) // what the last request has left to do
	for i, u := range users {
		ticks[i], before[i] = b.ticks(u.pids()...), u.wakeups()
	}
	requests := p.grants(func() { time.Sleep(minute) })
	for i, u := range users {
		ticks[i], wakeups[i] = b.ticks(u.pids()...)-ticks[i], (u.wakeups()-before[i])/minute.Seconds()
	}
	b.report("100 accounts, 60 s: requests to the provider", "", "", values{{requests}}, atMost(0, alone))
	b.report("the same: ticks of CPU", "", "", values{ticks[:1], ticks[1:]}, atMost(0, alone))
	b.report("the same: wake-ups", " /s", "", values{wakeups[:1], wakeups[1:]}, atMost(0.99, alone))
}

// benchMemory loads more and more accounts, and looks again after what takes memory for a while. Pss counts a page that
// processes share for each of them in part.
func benchMemory(b *bench) {
	var one, hundred, thousand, each, storm, endless values
	for i, m := range makers {
		p := b.newProvider(0, iam.Settings{})
		u := b.startAgent(m)
		settled := func(v *values) float64 {
			time.Sleep(5 * time.Second)
			mib := u.sum("/proc/%d/smaps_rollup", "Pss") / 1024
			v.add(i, mib)
			return mib
		}
		u.loadMany(p, 0, 1)
		first := settled(&one)
		u.loadMany(p, 1, 100)
		settled(&hundred)
		u.loadMany(p, 100, 999)
		p.Change(func(s *iam.Settings) { s.AccessTokenLifetime = time.Second })
		u.loadMany(p, 999, 1000)
		each.add(i, (settled(&thousand)-first)*1024/999)
		p.Change(func(s *iam.Settings) { s.AccessTokenLifetime = time.Hour })
		u.storm(p, "account999", 1000, 0, 300*time.Millisecond)
		settled(&storm)
		if m == us { // C's agent would read for ever
			p.Fail(iam.Fault{Path: "token", Endless: true, Times: 1})
			askToken(u.sock, tokenRequest("account0", "", forced))
			settled(&endless)
		}
	}
	b.report("Pss, 1 account", " MiB", "", one, atMost(12, alone))
	b.report("Pss, 100 accounts", " MiB", "", hundred)
	b.report("Pss, 1,000 accounts", " MiB", "", thousand)
	b.report("each account of them", " KiB", "", each, atMost(12, alone))
	grown := atMost(median(thousand[0])+3, alone)
	b.report("Pss after 1,000 clients at once", " MiB", "", storm, grown)
	b.report("Pss after an answer without an end", " MiB", "", endless, grown)
}
