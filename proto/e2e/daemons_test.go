package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"oidc-agent/proto/e2e/user"
)

var assignment = regexp.MustCompile(`(?m)^(\w+)=(.*?); export \w+;$`)

// startAgent does what eval $(oidc-agent …) does in a shell. The agent logs to
// stderr, which the word log reads.
func startAgent(s *script, args []string) error {
	if s.agentLog == nil {
		f, err := os.Create(filepath.Join(s.dir, "agent.log"))
		if err != nil {
			return err
		}
		s.agentLog = f
		s.cleanup = append(s.cleanup, f.Close)
	}
	s.next.Stderr = s.agentLog
	if err := s.program(append([]string{"oidc-agent"}, args...), false); err != nil {
		return fmt.Errorf("%w\n--- log\n%s", err, s.log())
	}
	for _, m := range assignment.FindAllStringSubmatch(s.last.Stdout, -1) {
		s.env[m[1]] = m[2]
	}
	pid, err := strconv.Atoi(s.env["OIDCD_PID"])
	if err != nil {
		return fmt.Errorf("OIDCD_PID: %w", err)
	}
	s.agents = append(s.agents, pid)
	return nil
}

var agentSignals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}

// killAgents kills the agents that still run, but no other process that has got the
// pid of one that ended.
func (s *script) killAgents() {
	for _, pid := range s.agents {
		commandLine, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(commandLine), "oidc-agent\x00") {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// endAgent polls for the end of the agent, which is not our child.
func endAgent(s *script, args []string) error {
	pid, err := strconv.Atoi(s.env["OIDCD_PID"])
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, agentSignals[args[0]]); err != nil {
		return err
	}
	for until := time.Now().Add(s.patience); time.Now().Before(until); time.Sleep(2 * time.Millisecond) {
		// Gone, or a zombie that init has not yet reaped. Its first thread can end before the others, which keep
		// the socket open.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") && len(threads) <= 1 {
			return nil
		}
	}
	return errors.New("the agent did not end")
}

// An idp is a running fakeidp.
type idp struct {
	cmd     *exec.Cmd
	args    []string
	address string // HOST:PORT, kept when it is started again
}

func theIDP(s *script, args []string) error {
	if len(args) == 1 && args[0] == "stop" {
		return s.idp.stop()
	}
	if len(args) == 1 && args[0] == "start" {
		return s.idp.start(s, append([]string{"--listen=" + s.idp.address}, s.idp.args...))
	}
	s.idp = &idp{args: args}
	s.cleanup = append(s.cleanup, s.idp.stop)
	return s.idp.start(s, args)
}

// start returns when the provider has printed its issuer and so is ready.
func (i *idp) start(s *script, args []string) error {
	cmd := exec.Command(filepath.Join(s.bin, "fakeidp"), args...)
	cmd.Env = s.environ()
	cmd.Dir = s.env["HOME"]
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if cmd.Stderr, err = os.Create(filepath.Join(s.dir, "idp.log")); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	i.cmd = cmd
	lines := bufio.NewReader(out)
	issuer, err := lines.ReadString('\n')
	if err != nil {
		return fmt.Errorf("fakeidp %q: no issuer on stdout: %w", args, err)
	}
	s.env["ISSUER"] = strings.TrimSpace(issuer)
	i.address = strings.Trim(strings.TrimPrefix(s.env["ISSUER"], "http://"), "/")
	return nil
}

// stop ends fakeidp, which must succeed.
func (i *idp) stop() error {
	if i.cmd == nil {
		return nil
	}
	cmd := i.cmd
	i.cmd = nil
	cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("fakeidp after SIGTERM: %w", err)
	}
	return nil
}

// remote forwards a TCP port to the agent's socket, as ssh -R does.
func remote(s *script, _ []string) error {
	socket := s.env["OIDC_SOCK"]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.env["OIDC_REMOTE_SOCK"] = listener.Addr().String()
	s.cleanup = append(s.cleanup, listener.Close)
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go forward(near, socket)
		}
	}()
	return nil
}

func forward(near net.Conn, socket string) {
	defer near.Close()
	far, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer far.Close()
	go io.Copy(far, near)
	io.Copy(near, far) // the agent closes when it has answered
}

// processes returns the pids for which is returns true. It gets the command line
// and the environment, with NUL after each part. Only root can read the environment
// of an agent; for others it is empty.
func processes(is func(commandLine, environment string) bool) (pids []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		commandLine, _ := os.ReadFile(d + "/cmdline")
		environment, _ := os.ReadFile(d + "/environ")
		if len(commandLine) > 0 && is(string(commandLine), string(environment)) {
			pid, _ := strconv.Atoi(filepath.Base(d))
			pids = append(pids, pid)
		}
	}
	return pids
}

// killAll kills processes until none is left that could start more.
func killAll(is func(commandLine, environment string) bool) {
	for range 100 {
		pids := processes(is)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(5 * time.Millisecond) // the kernel needs a moment to clear up
	}
}

// of matches the processes of a home, including daemons, if their environment can be read.
func of(home string) func(commandLine, environment string) bool {
	return func(_, environment string) bool {
		return strings.Contains("\x00"+environment, "\x00HOME="+home+"\x00")
	}
}

// A watcher records what every user of the machine can read in the process list
// about our programs and those that the script starts.
type watcher struct {
	mu   sync.Mutex
	seen map[string]bool
}

func watch(s *script, _ []string) error {
	w := &watcher{seen: map[string]bool{}}
	started := of(s.env["HOME"])
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			processes(func(commandLine, environment string) bool {
				name, _, _ := strings.Cut(commandLine, "\x00")
				if _, ours := user.Programs[filepath.Base(name)]; ours || started(commandLine, environment) {
					w.note(commandLine)
				}
				return false
			})
			time.Sleep(10 * time.Millisecond) // a sampling rate
		}
	}()
	s.watcher = w
	s.cleanup = append(s.cleanup, func() error { stop(); <-done; return nil })
	return nil
}

func (w *watcher) note(commandLine string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[strings.ReplaceAll(commandLine, "\x00", " ")] = true
}

func (w *watcher) everything() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(w.seen)), "\n")
}
