package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"oidc-agent/fakeidp/iam"
)

// budgets are the limits of the counts: today's value and a little more. To raise one, say why in the commit.
var budgets = map[string]float64{
	"MiB of oidc-agent":                     8,
	"MiB of oidc-gen":                       3.2,
	"MiB of oidc-add":                       3.5,
	"MiB of oidc-token":                     2.2,
	"MiB of fakeidp":                        9.5,
	"MiB of all five":                       26,
	"packages in oidc-token":                72,
	"system calls of oidc-token, cached":    225,
	"system calls of the agent, per answer": 11,
	"allocations of the agent, per answer":  18,
}

// count reports a number that has a budget.
func (b *bench) count(what string, n float64) {
	most, known := budgets[what]
	if !known {
		check(fmt.Errorf("%q has no budget", what))
	}
	b.report(what, "", "", values{{n}}, atMost(most, alone))
}

func benchSize(b *bench) {
	sum := 0.0
	for _, name := range []string{"oidc-agent", "oidc-gen", "oidc-add", "oidc-token", "fakeidp"} {
		mib := float64(must(os.Stat(filepath.Join(b.bin, name))).Size()) / (1 << 20)
		b.count("MiB of "+name, mib)
		sum += mib
	}
	b.count("MiB of all five", sum)
}

func benchCounts(b *bench) {
	golang := func(args ...string) string {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
		return output(cmd)
	}
	b.count("packages in oidc-token", float64(strings.Count(golang("list", "-deps", "./token"), "\n")))
	token, counts := b.cachedTokens()[us], []float64{}
	for range 5 {
		counts = append(counts, b.straced(token, nil))
	}
	b.count("system calls of oidc-token, cached", median(counts))
	const few, many = 100, 1100 // the difference is the cost of the answers
	b.count("system calls of the agent, per answer", (b.agentCalls(many)-b.agentCalls(few))/(many-few))
	// The agent's own benchmark covers everything from the bytes of a request to those of its answer.
	own := golang("test", "-run=^$", "-bench=Cached", "-benchmem", "-benchtime=2000x", "./agent")
	b.count("allocations of the agent, per answer", toNumber(find(`(?m)^Benchmark\S*Cached\S*\s.*?(\d+) allocs/op`, own)))
}

// unsteady are the calls of the runtime's scheduler, whose number depends on the load of the machine.
const unsteady = "nanosleep,futex,sched_yield,epoll_pwait,getpid,tgkill,rt_sigreturn"

// straced counts the system calls of a program in all threads, without the unsteady ones. The function that runs
// meanwhile ends the program.
func (b *bench) straced(c *exec.Cmd, beside func(strace int)) float64 {
	file := filepath.Join(b.tempDir(), "strace")
	cmd := exec.Command("strace", append([]string{"-f", "-c", "-e", "trace=!" + unsteady, "-o", file, c.Path}, c.Args[1:]...)...)
	cmd.Env = c.Env
	if beside == nil {
		output(cmd)
	} else {
		check(cmd.Start())
		beside(cmd.Process.Pid)
		cmd.Wait() // the error is the signal
	}
	return toNumber(find(`(?m)^100\.00\s.*?(\d+)\s+(?:\d+\s+)?total$`, string(must(os.ReadFile(file)))))
}

// agentCalls returns the system calls of an agent that answers some requests.
func (b *bench) agentCalls(answers int) float64 {
	p, u := b.newProvider(0, iam.Settings{}), b.newUser(us)
	u.sock = filepath.Join(u.home, "sock")
	return b.straced(u.command("oidc-agent", "--console", "--socket-path="+u.sock), func(strace int) {
		awaitAnswer(u.sock)
		u.load(p.account("demo"))
		for range answers {
			check(u.question("demo", 0)(0))
		}
		for _, pid := range children(strace) {
			syscall.Kill(pid, syscall.SIGTERM)
		}
	})
}
