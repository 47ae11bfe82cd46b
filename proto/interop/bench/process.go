package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/secret"
)

// timed runs a program and returns the time from before the fork until it is reaped.
func timed(c *exec.Cmd) float64 {
	null := must(os.OpenFile(os.DevNull, os.O_RDWR, 0))
	defer null.Close()
	start := time.Now()
	process := must(os.StartProcess(c.Path, c.Args, &os.ProcAttr{Env: c.Env, Files: []*os.File{null, null, os.Stderr}}))
	state := must(process.Wait())
	took := milliseconds(start)
	if !state.Success() {
		check(fmt.Errorf("%q: %v", c.Args, state))
	}
	return took
}

// cachedTokens are the commands that print a cached token: ours, C's, and the floor. Ours and the floor use our agent.
func (b *bench) cachedTokens() (commands []*exec.Cmd) {
	b.each(iam.Settings{}, func(p *provider, u *user) {
		u.load(p.account("demo"))
		commands = append(commands, u.command("oidc-token", "demo"))
	})
	raw := b.floor("raw", "demo")
	raw.Env = commands[us].Env
	return append(commands, raw)
}

// benchToken times commands in turn, each round in another order, because of the caches.
func benchToken(b *bench) {
	commands := append(b.cachedTokens(), b.floor("empty"), exec.Command("/bin/true"))
	times := make([][]float64, len(commands))
	for range b.rounds(1000) {
		for _, i := range rand.Perm(len(commands)) {
			times[i] = append(times[i], timed(commands[i]))
		}
	}
	b.report("oidc-token NAME, cached, whole process", " ms", "R", values(times[:3]), atMost(1.2, floor), atMost(1.35, peer))
	b.report("the same over an empty Go program", " ms", "E", values{times[0], times[1], times[3]})
	b.report("the same over /bin/true", " ms", "true", values{times[0], times[1], times[4]})
	if b.quick {
		return
	}
	var v values
	for i := range v {
		v[i] = b.hyperfine(commands[i])
	}
	b.report("the same as hyperfine has it, one after the other", " ms", "R", v)
}

func (b *bench) hyperfine(c *exec.Cmd) []float64 {
	file := filepath.Join(b.tempDir(), "json")
	cmd := exec.Command("hyperfine", "-N", "--style=none", "--warmup=20", "--runs=500", "--export-json="+file, c.Path+" "+c.Args[1])
	cmd.Env = c.Env
	output(cmd)
	var result struct{ Results []struct{ Times []float64 } }
	check(json.Unmarshal(must(os.ReadFile(file)), &result))
	times := result.Results[0].Times
	for i := range times {
		times[i] *= 1000
	}
	return times
}

// benchBurst is like many jobs that start at once.
func benchBurst(b *bench) {
	commands := b.cachedTokens()
	calls := 1000
	if b.quick {
		calls = 200
	}
	var took, failures values
	for range b.rounds(5) {
		for i, c := range commands {
			out := must(os.Create(filepath.Join(b.tempDir(), "out")))
			cmd := exec.Command("xargs", "-P", "50", "-I{}", c.Path, c.Args[1])
			cmd.Env, cmd.Stdout, cmd.Stdin = append(c.Env, "PATH=/usr/bin:/bin"), out, strings.NewReader(strings.Repeat("x\n", calls))
			start := time.Now()
			cmd.Run() // the number of tokens shows failures too
			took.add(i, time.Since(start).Seconds())
			out.Close()
			failures.add(i, float64(calls-bytes.Count(must(os.ReadFile(out.Name())), []byte("\n"))))
		}
	}
	b.report(fmt.Sprintf("%d oidc-token, xargs -P 50", calls), " s", "R", took, atMost(1.3, peer))
	b.report("the same: failures", "", "R", failures, atMost(0, alone))
}

// benchAdd loads an account from its file: ours from both formats, C from its own.
func benchAdd(b *bench) {
	p := b.newProvider(0, iam.Settings{})
	ours, theirs := b.startAgent(us), b.startAgent(peer)
	ours.file(p.account("scrypt"), crypt.FormatScrypt)
	ours.file(p.account("argon"), crypt.FormatC)
	theirs.file(p.account("argon"), crypt.FormatC)
	adding := func(u *user, name string) float64 {
		defer u.run("oidc-add", "-r", name)
		return timed(u.command("oidc-add", "--pw-file="+u.home+"/pw", name))
	}
	var scrypt, argon values
	for range 15 {
		c := adding(theirs, "argon")
		for i, v := range [...]float64{adding(ours, "scrypt"), c, derivation(crypt.FormatScrypt)} {
			scrypt.add(i, v)
		}
		for i, v := range [...]float64{adding(ours, "argon"), c, derivation(crypt.FormatC)} {
			argon.add(i, v)
		}
	}
	b.report("oidc-add, our format", " ms", "scrypt", scrypt, atMost(1, peer))
	b.report("oidc-add, a file of C's", " ms", "Argon2id", argon, atMost(1.2, peer))
}

// derivation times the derivation of a key.
func derivation(format crypt.Format) float64 {
	defer runtime.GC() // 64 MiB
	start := time.Now()
	must(crypt.NewKey(secret.FromString(password), format))
	return milliseconds(start)
}

// benchAddAll loads 100 accounts with one password.
func benchAddAll(b *bench) {
	const accounts = 100
	u := b.startAgent(us)
	p := b.newProvider(0, iam.Settings{})
	for i := range accounts {
		u.file(p.account(fmt.Sprintf("account%d", i)), crypt.FormatScrypt)
	}
	var took values
	peak := 0.0
	for range 2 {
		var one []float64
		for range 10 {
			one = append(one, derivation(crypt.FormatScrypt))
		}
		took.add(floor, median(one)*accounts/float64(runtime.NumCPU())/1000)
		cmd := u.command("oidc-add", "--all", "--pw-file="+u.home+"/pw")
		start := time.Now()
		check(cmd.Start())
		peak = max(peak, peakMemory(cmd.Process.Pid))
		check(cmd.Wait())
		took.add(us, milliseconds(start)/1000)
		u.run("oidc-add", "-R")
	}
	b.report("oidc-add --all, 100 accounts", " s", "100 scrypt ÷ cores", took, atMost(1.1, floor))
	b.report("the same: memory at most", " MiB", "", values{{peak}})
}

// peakMemory waits for the end of a process and returns its peak memory in MiB. The value of wait4 would include the
// parent's memory at the fork.
func peakMemory(pid int) (mib float64) {
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, peak, alive := strings.Cut(string(status), "VmHWM:")
		if !alive {
			return mib
		}
		mib = toNumber(strings.Fields(peak)[0]) / 1024
		time.Sleep(10 * time.Millisecond)
	}
}
