package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"oidc-agent/fakeidp/iam"
)

// budgets are the most that may be counted: what there is today and a little room. Who needs more raises the
// number here, and says why in the commit.
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
		b.check(fmt.Errorf("%q has no budget", what))
	}
	b.report(what, "", "", values{{n}}, atMost(most, alone))
}

func benchSize(b *bench) {
	sum := 0.0
	for _, name := range []string{"oidc-agent", "oidc-gen", "oidc-add", "oidc-token", "fakeidp"} {
		mib := float64(must[os.FileInfo](b)(os.Stat(filepath.Join(b.bin, name))).Size()) / (1 << 20)
		b.count("MiB of "+name, mib)
		sum += mib
	}
	b.count("MiB of all five", sum)
}

func benchCounts(b *bench) {
	const root = "../.."
	b.count("packages in oidc-token", float64(strings.Count(b.output(root, "go", "list", "-deps", "./token"), "\n")))
	commands := b.cachedTokens()
	b.count("system calls of oidc-token, cached", b.systemCalls(commands[0]))
	b.count("system calls of the agent, per answer", b.agentCalls())
	b.count("allocations of the agent, per answer", b.allocations(root))
}

// output runs a program of the machine's in a folder.
func (b *bench) output(dir, name string, args ...string) string {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.check(fmt.Errorf("%q: %w: %s", cmd.Args, err, out))
	}
	return string(out)
}

var total = regexp.MustCompile(`(?m)^100\.00\s.*?(\d+)\s+(?:\d+\s+)?total$`)

// systemCalls counts those of a whole program, all of its threads.
func (b *bench) systemCalls(c command) float64 {
	var counts []float64
	for range 5 {
		counts = append(counts, b.straced(c.env, c.argv, nil))
	}
	return median(counts)
}

// unsteady are the calls of the runtime's scheduler: their number depends on what else the machine does.
const unsteady = "nanosleep,futex,sched_yield,epoll_pwait,getpid,tgkill,rt_sigreturn"

// straced counts the calls of a program, but for the unsteady ones, and runs something beside it.
func (b *bench) straced(env, argv []string, beside func(strace int)) float64 {
	file := filepath.Join(b.tempDir(), "strace")
	cmd := exec.Command("strace", append([]string{"-f", "-c", "-e", "trace=!" + unsteady, "-o", file}, argv...)...)
	cmd.Env = env
	if beside != nil {
		b.check(cmd.Start())
		beside(cmd.Process.Pid)
		cmd.Wait() // the agent was told to end
	} else if out, err := cmd.CombinedOutput(); err != nil {
		b.check(fmt.Errorf("%q: %w: %s", cmd.Args, err, out))
	}
	text := string(must[[]byte](b)(os.ReadFile(file)))
	found := total.FindStringSubmatch(text)
	if found == nil {
		b.check(fmt.Errorf("strace says %q", text))
	}
	return must[float64](b)(strconv.ParseFloat(found[1], 64))
}

// agentCalls lets agents answer few and many requests: the difference is what answers cost.
func (b *bench) agentCalls() float64 {
	const few, many = 100, 1100
	of := func(answers int) float64 {
		p := b.newProvider(0, iam.Settings{})
		u := b.newUser(us)
		u.sock = filepath.Join(u.home, "sock")
		agent := []string{u.program("oidc-agent"), "--console", "--socket-path=" + u.sock}
		return b.straced(u.env, agent, func(strace int) {
			b.awaitAnswer(u.sock)
			u.load(p.account("demo"))
			for range answers {
				b.check(askToken(u.sock, tokenRequest("demo", "", 0)))
			}
			for _, pid := range children(strace) {
				syscall.Kill(pid, syscall.SIGTERM)
			}
		})
	}
	return (of(many) - of(few)) / (many - few)
}

var benchmarkLine = regexp.MustCompile(`(?m)^Benchmark\S*Cached\S*\s.*?(\d+) allocs/op`)

// allocations are those of the agent's own benchmark: from the bytes of a request to the bytes of its answer.
func (b *bench) allocations(root string) float64 {
	out := b.output(root, "go", "test", "-run=^$", "-bench=Cached", "-benchmem", "-benchtime=2000x", "./agent")
	found := benchmarkLine.FindStringSubmatch(out)
	if found == nil {
		b.check(fmt.Errorf("no benchmark of a cached answer: %s", out))
	}
	return must[float64](b)(strconv.ParseFloat(found[1], 64))
}
