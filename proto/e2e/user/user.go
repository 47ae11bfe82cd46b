// Package user plays the user of the programs in tests: it runs a program with or without a terminal, reads the screen,
// types, and approves a login in a browser.
//
// Only tests import it. Start reading at Program; a Session is what the user does while it runs. The terminal is in
// terminal.go, the browser in browser.go.
package user

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Ordinary is the user ID of the programs when the tests run as root, because root may write everywhere.
const Ordinary = 65534

// A Where says which streams of a program are a terminal.
type Where int

const (
	Nowhere    Where = iota // no controlling terminal; stdin is /dev/null
	Beside                  // a terminal, but stdout and stderr are pipes
	Everywhere              // stdin, stdout and stderr are the terminal
)

// A Program is one run of a program and what its user does meanwhile.
type Program struct {
	Args     []string // the name, found in Env's PATH, and the arguments
	Dir      string
	Env      []string // NAME=VALUE; nothing is inherited
	Stdin    *string  // comes through a pipe, instead of from the terminal or /dev/null
	Stderr   *os.File // replaces Result.Stderr: for a daemon, which keeps it open
	Terminal Where

	// User runs while the program runs. Run returns its error.
	User func(context.Context, *Session) error
}

// A Result is the output of a program.
type Result struct {
	Stdout, Stderr string
	Terminal       string // what the screen showed, with \n as line ends
	Code           int    // as in a shell: 128+N after signal N
}

// Run runs the program until it has exited and no process holds its output open. It is an error if ctx is done before
// that, which kills the program, or if the program leaves the terminal in another state. The Result is always set.
func (p Program) Run(ctx context.Context) (Result, error) {
	s := newSession()
	defer func() { closeAll(s.ours) }()
	cmd, err := p.command(s)
	if err == nil {
		err = cmd.Start()
	}
	closeAll(s.childEnds)
	if err != nil {
		return Result{}, err
	}
	userErr := make(chan error, 1)
	go func() {
		var err error
		if p.User != nil {
			err = p.User(ctx, s)
		}
		userErr <- err
	}()
	timeout := s.finish(ctx, cmd)
	err = errors.Join(timeout, <-userErr)
	if err == nil && s.terminal != nil {
		err = s.terminal.checkRestored()
	}
	return s.result(cmd.ProcessState), err
}

// command prepares the child process with its ends of all streams.
func (p Program) command(s *Session) (*exec.Cmd, error) {
	path, err := find(p.Args[0], p.Dir, p.Env)
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{Setsid: true}
	if os.Getuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: Ordinary, Gid: Ordinary}
	}
	cmd := &exec.Cmd{Path: path, Args: p.Args, Dir: p.Dir, Env: p.Env, SysProcAttr: attr}
	if p.Terminal != Nowhere {
		if s.terminal, err = openTerminal(); err != nil {
			return nil, err
		}
		s.read(s.terminal.master, &s.screen)
		if err := s.give(s.terminal.slave); err != nil {
			return nil, err
		}
		cmd.Stdin = s.terminal.slave
		// The controlling terminal is named by its number in the child.
		cmd.ExtraFiles, attr.Setctty, attr.Ctty = []*os.File{s.terminal.slave}, true, 3
	}
	if p.Stdin != nil {
		if cmd.Stdin, err = s.feed(*p.Stdin); err != nil {
			return nil, err
		}
	}
	if p.Terminal == Everywhere {
		cmd.Stdout, cmd.Stderr = s.terminal.slave, s.terminal.slave
		return cmd, nil
	}
	if cmd.Stdout, err = s.pipe(&s.stdout); err != nil {
		return nil, err
	}
	if cmd.Stderr = p.Stderr; p.Stderr == nil {
		cmd.Stderr, err = s.pipe(&s.stderr)
	}
	return cmd, err
}

// find looks a program up in the PATH of its own environment.
func find(name, dir string, env []string) (string, error) {
	switch {
	case filepath.IsAbs(name):
		return name, nil
	case strings.Contains(name, "/"):
		return filepath.Join(dir, name), nil
	}
	for _, v := range env {
		path, _ := strings.CutPrefix(v, "PATH=")
		for _, d := range filepath.SplitList(path) {
			info, err := os.Stat(filepath.Join(d, name))
			if err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
				return filepath.Join(d, name), nil
			}
		}
	}
	return "", fmt.Errorf("program %q: %w", name, exec.ErrNotFound)
}
