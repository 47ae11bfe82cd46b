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
	"strconv"
	"strings"
	"syscall"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/secret"
)

// command is a program to be measured as a whole.
type command struct {
	argv, env []string
}

// time runs the command to its end, from before the fork until it is reaped.
func (b *bench) time(c command) float64 {
	null := must[*os.File](b)(os.OpenFile(os.DevNull, os.O_RDWR, 0))
	defer null.Close()
	start := time.Now()
	pid, err := syscall.ForkExec(c.argv[0], c.argv, &syscall.ProcAttr{Env: c.env, Files: []uintptr{null.Fd(), null.Fd(), 2}})
	b.check(err)
	var status syscall.WaitStatus
	b.check(again(func() error { _, err := syscall.Wait4(pid, &status, 0, nil); return err }))
	took := milliseconds(start)
	if status != 0 {
		b.check(fmt.Errorf("%q: exit %d", c.argv, status.ExitStatus()))
	}
	return took
}

// interleave times commands in turn, each round in another order: caches remember who came before.
func (b *bench) interleave(rounds int, commands []command) [][]float64 {
	times := make([][]float64, len(commands))
	for range rounds {
		for _, i := range rand.Perm(len(commands)) {
			times[i] = append(times[i], b.time(commands[i]))
		}
	}
	return times
}

// cachedTokens are the commands that print a cached token: ours, C's, the floor. Ours and the floor ask our agent.
func (b *bench) cachedTokens() []command {
	p := b.newProvider(0, iam.Settings{})
	var commands []command
	for _, m := range makers {
		u := b.startAgent(m)
		u.load(p.account("demo"))
		commands = append(commands, command{[]string{u.program("oidc-token"), "demo"}, u.env})
	}
	return append(commands, command{[]string{b.floor("raw"), "demo"}, commands[0].env})
}

func benchToken(b *bench) {
	commands := append(b.cachedTokens(), command{argv: []string{b.floor("empty")}}, command{argv: []string{"/bin/true"}})
	times := b.interleave(b.rounds(1000), commands)
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

func (b *bench) hyperfine(c command) []float64 {
	file := filepath.Join(b.tempDir(), "json")
	cmd := exec.Command("hyperfine", "-N", "--style=none", "--warmup=20", "--runs=500", "--export-json="+file, strings.Join(c.argv, " "))
	cmd.Env = c.env
	if out, err := cmd.CombinedOutput(); err != nil {
		b.check(fmt.Errorf("hyperfine: %w: %s", err, out))
	}
	var result struct{ Results []struct{ Times []float64 } }
	b.check(json.Unmarshal(must[[]byte](b)(os.ReadFile(file)), &result))
	for i := range result.Results[0].Times {
		result.Results[0].Times[i] *= 1000
	}
	return result.Results[0].Times
}

// benchBurst is what a farm of jobs does when all begin.
func benchBurst(b *bench) {
	commands := b.cachedTokens()
	calls := 1000
	if b.quick {
		calls = 200
	}
	var took, failures values
	for range b.rounds(5) {
		for i, c := range commands {
			out := must[*os.File](b)(os.Create(filepath.Join(b.tempDir(), "out")))
			cmd := exec.Command("xargs", append([]string{"-P", "50", "-I{}"}, c.argv...)...)
			cmd.Env, cmd.Stdout, cmd.Stdin = append(c.env, "PATH=/usr/bin:/bin"), out, strings.NewReader(strings.Repeat("x\n", calls))
			start := time.Now()
			cmd.Run() // its exit code says no more than the number of tokens
			took.add(i, time.Since(start).Seconds())
			out.Close()
			tokens := must[[]byte](b)(os.ReadFile(out.Name()))
			failures.add(i, float64(calls-strings.Count(string(tokens), "\n")))
		}
	}
	b.report(fmt.Sprintf("%d oidc-token, xargs -P 50", calls), " s", "R", took, atMost(1.3, peer))
	b.report("the same: failures", "", "R", failures, atMost(0, alone))
}

// benchAdd loads an account from its file: ours from both formats, C from its own.
func benchAdd(b *bench) {
	p := b.newProvider(0, iam.Settings{})
	ours, theirs := b.startAgent(us), b.startAgent(kit)
	ours.file(p.account("scrypt"), crypt.FormatScrypt)
	ours.file(p.account("argon"), crypt.FormatC)
	theirs.file(p.account("argon"), crypt.FormatC)
	var our, argon values
	for range 15 {
		for _, c := range []struct {
			u     *user
			name  string
			takes []*[]float64
		}{{ours, "scrypt", []*[]float64{&our[0]}}, {theirs, "argon", []*[]float64{&our[1], &argon[1]}}, {ours, "argon", []*[]float64{&argon[0]}}} {
			took := b.time(command{[]string{c.u.program("oidc-add"), "--pw-file=" + c.u.home + "/pw", c.name}, c.u.env})
			for _, v := range c.takes {
				*v = append(*v, took)
			}
			c.u.run("oidc-add", "-r", c.name)
		}
		our.add(floor, b.derivation(crypt.FormatScrypt))
		argon.add(floor, b.derivation(crypt.FormatC))
	}
	b.report("oidc-add, our format", " ms", "scrypt", our, atMost(1, peer))
	b.report("oidc-add, a file of C's", " ms", "Argon2id", argon, atMost(1.2, peer))
}

// derivation times one derivation of a key.
func (b *bench) derivation(format crypt.Format) float64 {
	defer runtime.GC() // 64 MiB
	start := time.Now()
	must[*crypt.Key](b)(crypt.NewKey(secret.FromString(password), format))
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
			one = append(one, b.derivation(crypt.FormatScrypt))
		}
		took.add(floor, median(one)*accounts/float64(runtime.NumCPU())/1000)
		cmd := exec.Command(u.program("oidc-add"), "--all", "--pw-file="+u.home+"/pw")
		cmd.Env = u.env
		start := time.Now()
		b.check(cmd.Start())
		peak = max(peak, peakMemory(cmd.Process.Pid))
		b.check(cmd.Wait())
		took.add(0, milliseconds(start)/1000)
		u.run("oidc-add", "-R")
	}
	b.report("oidc-add --all, 100 accounts", " s", "100 scrypt ÷ cores", took, atMost(1.1, floor))
	b.report("the same: memory at most", " MiB", "", values{{peak}})
}

// peakMemory waits for a process to end and returns the most memory that it had, in MiB. The usage that wait4 tells
// would begin with the parent's.
func peakMemory(pid int) (mib float64) {
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, peak, alive := bytes.Cut(status, []byte("VmHWM:"))
		if !alive {
			return mib
		}
		kib, _ := strconv.ParseFloat(string(bytes.Fields(peak)[0]), 64)
		mib = kib / 1024
		time.Sleep(10 * time.Millisecond)
	}
}
