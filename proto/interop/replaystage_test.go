package interop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"oidc-agent/proto/e2e/user"
)

// A stage is a home in which a transcript is repeated.
type stage struct {
	world  *world
	dir    string
	env    map[string]string
	values map[string]string // of the placeholders
	stop   func()            // ends the fakes
	count  int               // of commands
}

// An outcome is the output of a command by the names of a transcript's sections, and
// the exit code.
type outcome struct{ streams map[string]string }

func (w *world) newStage(tr transcript) (*stage, error) {
	dir, err := os.MkdirTemp("", "replay-")
	if err != nil {
		return nil, err
	}
	fakes, stop, err := startFakes()
	if err != nil {
		return nil, err
	}
	s := &stage{world: w, dir: dir, stop: stop, values: map[string]string{
		"ISSUER": w.issuer, "ROTATING_ISSUER": w.rotating, "TLS_ISSUER": w.tls, "DOWN_ISSUER": w.down,
		"FAKE": fakes.base, "HOME": dir, "TMP": dir + "/tmp", "BIN": w.bin, "HOST": w.host,
	}}
	s.env = map[string]string{
		"HOME": dir, "TMPDIR": dir + "/tmp", "PATH": w.path, "LANG": "C.UTF-8", "TERM": "xterm",
		"USER": "alice", "LOGNAME": "alice", "SHELL": "/bin/bash", "REPLAY": dir,
	}
	s.set(tr.env)
	return s, s.furnish(tr.files)
}

// furnish creates the files that every transcript starts with.
func (s *stage) furnish(files bool) error {
	steps := []error{os.Mkdir(s.dir+"/.rec", 0o755), os.Mkdir(s.dir+"/tmp", 0o755),
		os.WriteFile(s.dir+"/pw", []byte("secret123\n"), 0o644)}
	if files {
		steps = append(steps, os.WriteFile(s.dir+"/wrong", []byte("wrong\n"), 0o644),
			os.WriteFile(s.dir+"/ca.pem", s.world.certificate, 0o644),
			os.MkdirAll(s.dir+"/.config/oidc-agent", 0o700))
		for name, content := range s.world.account {
			steps = append(steps, os.WriteFile(s.dir+"/.config/oidc-agent/"+name, content, 0o600))
		}
	}
	return errors.Join(append(steps, s.own(s.dir))...)
}

// own makes a tree belong to the user of the programs.
func (s *stage) own(root string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return filepath.Walk(root, func(path string, _ os.FileInfo, err error) error {
		return cmp.Or(err, os.Lchown(path, user.Ordinary, user.Ordinary))
	})
}

// set sets variables for all later commands.
func (s *stage) set(variables []variable) {
	for _, v := range variables {
		if v.unset {
			delete(s.env, v.name)
		} else {
			s.env[v.name] = s.fill(v.value)
		}
	}
}

// fill inserts the values, and the address without a listener, which has no
// placeholder in the recordings.
func (s *stage) fill(text string) string {
	down := strings.TrimPrefix(s.world.down, "http://")
	return fill(strings.ReplaceAll(text, "127.0.0.1:9129", down), s.values)
}

// locking is the screen of a setup command that locks the agent.
const locking = "Enter lock password: «lock⏎»\nConfirm lock password: «lock⏎»\n"

// prepare makes the state that the transcript needs.
func (s *stage) prepare(tr transcript) error {
	var commands []command
	if tr.agent {
		commands = append(commands, command{line: "eval $(oidc-agent) >/dev/null"})
	}
	if tr.loaded {
		commands = append(commands, command{line: "oidc-add --pw-file=pw demo >/dev/null"})
	}
	for _, step := range tr.setup {
		c := command{line: step.line}
		if step.approved {
			c.user = approves
		}
		if step.line == "oidc-add -x" {
			c.terminal, c.streams = true, map[string]string{"terminal": locking}
		}
		commands = append(commands, c)
	}
	for _, c := range commands {
		if o, err := s.run(c, patience); err != nil || o.streams["exit"] != "0" {
			return fmt.Errorf("setup: $ %s: %v: %v", c.line, err, o.streams)
		}
	}
	return nil
}

// shell runs one command of a transcript, with the variables that earlier ones exported.
const shell = `cd
[ ! -e "$REPLAY/.rec/env" ] || . "$REPLAY/.rec/env"
keep() {
	code=$?
	export -p | grep '^declare -x \(OIDC\|BEARER\)' >"$REPLAY/.rec/env"
	exit $code
}
trap keep EXIT
eval "$REPLAY_COMMAND"`

// run runs a command until it ends, or kills it after a time.
func (s *stage) run(c command, limit time.Duration) (outcome, error) {
	before := s.env
	defer func() { s.env = before }()
	s.env = maps.Clone(before)
	s.set(c.env)
	s.env["REPLAY_COMMAND"] = s.fill(rewritten(c.line))
	s.count++
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if c.terminal {
		return s.runOnTerminal(ctx, c, limit)
	}
	return s.runInFiles(ctx, c, limit)
}

// rewritten adapts a command. The recording was made by root in the group root; our
// user is in a group with the same number as its own.
func rewritten(line string) string {
	return strings.ReplaceAll(line, "--with-group=root", "--with-group=$(id -gn)")
}

func (s *stage) environ() []string {
	var env []string
	for name, value := range s.env {
		env = append(env, name+"="+value)
	}
	return env
}

// runInFiles redirects the streams to files, so that run does not wait for daemons
// that a command starts.
func (s *stage) runInFiles(ctx context.Context, c command, limit time.Duration) (outcome, error) {
	name := fmt.Sprintf("%s/.rec/%d.", s.dir, s.count)
	input := os.DevNull
	if c.stdin != nil {
		input = name + "in"
		if err := errors.Join(os.WriteFile(input, []byte(*c.stdin), 0o644), s.own(input)); err != nil {
			return outcome{}, err
		}
	}
	cmd := exec.Command("bash", "-c", shell)
	cmd.Dir, cmd.Env = s.dir, s.environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: user.Ordinary, Gid: user.Ordinary}
	}
	stdin, err1 := os.Open(input)
	stdout, err2 := os.Create(name + "stdout")
	stderr, err3 := os.Create(name + "stderr")
	if err := errors.Join(err1, err2, err3); err != nil {
		return outcome{}, err
	}
	defer stdin.Close()
	defer stdout.Close()
	defer stderr.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	if err := cmd.Start(); err != nil {
		return outcome{}, err
	}
	browsing := make(chan error, 1)
	browsing <- nil
	if c.user != "" {
		<-browsing
		go func() { browsing <- s.approve(ctx, c.user, stdout.Name(), stderr.Name()) }()
	}
	exit := waitFor(ctx, cmd, limit)
	out, err1 := os.ReadFile(stdout.Name())
	errs, err2 := os.ReadFile(stderr.Name())
	return outcome{map[string]string{"stdout": string(out), "stderr": string(errs), "exit": exit}},
		errors.Join(err1, err2, <-browsing)
}

// waitFor returns the exit code as a transcript has it.
func waitFor(ctx context.Context, cmd *exec.Cmd, limit time.Duration) string {
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		return fmt.Sprintf("none: still running after %d s", int(limit.Seconds()))
	}
	if w := cmd.ProcessState.Sys().(syscall.WaitStatus); w.Signaled() {
		return strconv.Itoa(128 + int(w.Signal()))
	}
	return strconv.Itoa(cmd.ProcessState.ExitCode())
}

// What the user does in the recordings.
const (
	approves = "enters the code, logs in and approves"
	opens    = "opens the URL, logs in and consents"
)

var authorizationURL = regexp.MustCompile(`https?://\S+[?&]response_type=code\S*`)

// approve waits for the program's instructions to the user, and follows them.
func (s *stage) approve(ctx context.Context, act string, files ...string) error {
	wanted := map[string]*regexp.Regexp{approves: deviceCode, opens: authorizationURL}[act]
	if wanted == nil {
		return fmt.Errorf("what does a user do who %q?", act)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var text []byte
		for _, name := range files {
			part, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text = append(text, part...)
		}
		if m := wanted.FindSubmatch(text); m != nil {
			b := user.NewBrowser("alice", "alice")
			b.Trust(s.world.roots)
			if act == opens {
				return b.Approve(ctx, string(m[0]), "", true)
			}
			return b.Approve(ctx, string(m[1]), string(m[2]), true)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the program never told the user what to do: %w", context.Cause(ctx))
		}
	}
}

// close ends everything that the transcript has started, and removes its home.
func (s *stage) close() {
	s.stop()
	for _, pid := range s.started() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	os.RemoveAll(s.dir)
}

var agentPID = regexp.MustCompile(`(?:OIDCD_PID=|"dpid":\s*)"?(\d+)`)

// started returns the processes that the transcript has left running: those with our
// mark in their environment, and the agents, whose environment only root can read.
func (s *stage) started() (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range all {
		environ, _ := os.ReadFile(process + "/environ")
		if slices.Contains(strings.Split(string(environ), "\x00"), "REPLAY="+s.dir) {
			pid, _ := strconv.Atoi(filepath.Base(process))
			pids = append(pids, pid)
		}
	}
	notes, _ := filepath.Glob(s.dir + "/.rec/*")
	for _, note := range notes {
		text, _ := os.ReadFile(note)
		for _, m := range agentPID.FindAllSubmatch(text, -1) {
			comm, _ := os.ReadFile("/proc/" + string(m[1]) + "/comm")
			if pid, err := strconv.Atoi(string(m[1])); err == nil && string(comm) == "oidc-agent\n" {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
