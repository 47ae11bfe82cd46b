package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// logins is a home where login shells start, each with a new environment.
type logins struct {
	t         *testing.T
	home, bin string
}

func newLogins(t *testing.T) *logins {
	l := &logins{t, t.TempDir(), binaries(t)}
	if err := os.Mkdir(filepath.Join(l.home, ".config"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.shell("oidc-agent-service stop") })
	return l
}

// shell runs a line in a new shell, with additional variables.
func (l *logins) shell(line string, variables ...string) (stdout, stderr string, code int) {
	l.t.Helper()
	cmd := exec.Command("/bin/sh", "-c", line)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &errs, l.home
	cmd.Env = append([]string{"HOME=" + l.home, "TMPDIR=" + l.home, "PATH=" + l.bin + ":/usr/bin:/bin"}, variables...)
	err := cmd.Run()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		l.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// want runs a line, whose output must match, and returns the pattern's group.
func (l *logins) want(code int, pattern, line string, variables ...string) string {
	l.t.Helper()
	stdout, stderr, got := l.shell(line, variables...)
	m := regexp.MustCompile(pattern).FindStringSubmatch(stdout + stderr)
	if got != code || m == nil {
		l.t.Fatalf("%s\nexit code %d, want %d; it printed, for the pattern %s:\n%s%s", line, got, code, pattern, stdout, stderr)
	}
	return m[len(m)-1]
}

const reach = ` >/dev/null; oidc-add -a && echo "$OIDCD_PID at $OIDC_SOCK"`

// TestService: every shell finds the agent, whatever its environment, and can stop it.
func TestService(t *testing.T) {
	t.Parallel()
	l := newLogins(t)
	other := t.TempDir()
	agent := l.want(0, `(?s)^(\d+ at .*/oidc-agent-service-\d+/oidc-agent\.sock)\n$`, "eval $(oidc-agent-service use)"+reach)
	pid, _, _ := strings.Cut(agent, " ")
	same := "^" + regexp.QuoteMeta(agent) + "\n$"
	l.want(0, same, "eval $(oidc-agent-service use)"+reach)
	l.want(0, same, "eval $(oidc-agent-service use)"+reach, "TMPDIR="+other, "XDG_RUNTIME_DIR="+other)
	l.want(0, same, "eval $(oidc-keychain)"+reach, "TMPDIR="+other)
	l.want(0, "^"+pid+"\n$", "eval $(oidc-agent-service use)")
	l.want(0, "^"+pid+"$", "eval $(oidc-agent-service use) >/dev/null; cat $OIDCD_PID_FILE")
	l.want(1, "(?s)^Error: an agent already runs, pid "+pid+"\n.*oidc-agent-service stop", "oidc-agent-service start")
	l.want(0, `"pid":`+pid+`,`, "oidc-agent-service status --json")
	l.want(0, "^Agent pid "+pid+" killed\nx\n$", "eval $(oidc-agent-service stop); echo x$OIDC_SOCK", "TMPDIR="+other)
	l.want(0, `^\.\n\./\.config\n\./\.config/oidc-agent\n\./\.config/oidc-agent/\.service-.*\n$`, "find . | sort")
	l.want(0, "^$", "oidc-agent-service stop")
	l.want(1, "(?s)^Error: no agent runs\n.*service use", "oidc-agent-service status")
	l.want(1, "(?s)^Error: no agent runs\n.*oidc-keychain", "oidc-keychain -k")
	l.want(1, "^Usage: oidc-agent-service", "oidc-agent-service")
	l.want(1, "no such command", "oidc-agent-service nosuch")
	l.want(2, "after --accounts", "oidc-keychain demo")
}

// TestServiceDead: an agent that was killed is replaced, even if another process has its pid now.
func TestServiceDead(t *testing.T) {
	t.Parallel()
	l := newLogins(t)
	l.want(0, `at`, `eval $(oidc-agent-service start) >/dev/null; kill -9 $OIDCD_PID; while oidc-add -a 2>/dev/null; do :; done
		echo 1 >$OIDCD_PID_FILE; eval $(oidc-agent-service use)`+reach)
	l.want(0, "again", `eval $(oidc-agent-service use) >/dev/null; old=$OIDCD_PID; eval $(oidc-agent-service restart) >/dev/null
		test $old != $OIDCD_PID && oidc-add -a && echo again`)
	l.want(0, "^$", "oidc-agent-service restart-s")
}

// TestServiceOptions: the options file, and the options of an agent that is restarted.
func TestServiceOptions(t *testing.T) {
	t.Parallel()
	l := newLogins(t)
	l.want(0, `"--no-autoload --lifetime=60"`, `mkdir .config/oidc-agent; echo 'OIDC_AGENT_OPTS="--no-autoload"' >.config/oidc-agent/oidc-agent-service.options
		oidc-keychain -t 60 >/dev/null; oidc-agent-service restart >/dev/null; oidc-agent-service status --json`)
	l.want(1, `this file is not run by a shell`, `echo 'OIDC_AGENT_OPTS=$(id)' >.config/oidc-agent/oidc-agent-service.options; oidc-agent-service use; e=$?
		rm .config/oidc-agent/oidc-agent-service.options; exit $e`)
	l.want(0, `"--no-autoload --lifetime=60"`, `OIDC_AGENT_RESTART_WITH_SAME_OPTS=; oidc-agent-service restart >/dev/null; oidc-agent-service status --json`)
	l.want(0, `"command_line_options":""`, `echo 'OIDC_AGENT_RESTART_WITH_SAME_OPTS=False' >.config/oidc-agent/oidc-agent-service.options
		oidc-agent-service restart >/dev/null; oidc-agent-service status --json`)
}

// TestServicePlaces: foreign files at the agent's places are neither used nor changed.
func TestServicePlaces(t *testing.T) {
	t.Parallel()
	l := newLogins(t)
	// A file in place of the socket: the agent listens elsewhere, and the next shell finds it there.
	agent := l.want(0, `^(\d+ at .*/oidc-\w{6}/oidc-agent\.\d+)\n`,
		`d=oidc-agent-service-$(id -u); mkdir -m 700 $d; echo mine >$d/oidc-agent.sock; eval $(oidc-agent-service use)`+reach)
	l.want(0, "^"+regexp.QuoteMeta(agent)+"\nmine\n$", "eval $(oidc-agent-service use)"+reach+"; cat oidc-agent-service-*/oidc-agent.sock")
	l.want(0, "killed", "oidc-agent-service stop; rm -r oidc-agent-service-*")
	// A link in place of the file with the agent's address.
	l.want(1, "(?s)^precious\n.*symbolic links", `echo precious >target; for f in .config/oidc-agent/.service-*; do ln -sf ../../target $f; done
		oidc-agent-service use; e=$?; cat target; exit $e`)
	// A file without the path of a socket.
	l.want(0, `at`, `oidc-agent-service stop; for f in .config/oidc-agent/.service-*; do rm $f; echo ../../$f >$f; done; eval $(oidc-agent-service use)`+reach)
}

// TestServiceRace: one of twenty shells that start at once starts the agent.
func TestServiceRace(t *testing.T) {
	t.Parallel()
	l := newLogins(t)
	gate := filepath.Join(l.home, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		found := make([]string, 20)
		var all sync.WaitGroup
		for i := range found {
			// The gate opens for the waiting shells, and stays open for late ones.
			all.Go(func() { found[i], _, _ = l.shell(": <gate; eval $(oidc-agent-service use)" + reach) })
		}
		open, err := os.OpenFile(gate, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		all.Wait()
		open.Close()
		for _, f := range found {
			if f == "" || f != found[0] {
				t.Errorf("found %q and %q", found[0], f)
			}
		}
		l.want(0, "killed", "oidc-agent-service stop")
	}
}

// TestKeychainAccounts: oidc-add's output does not go to the shell, and its failure is one of the keychain.
func TestKeychainAccounts(t *testing.T) {
	t.Parallel()
	l := newLogins(t)
	l.want(1, `(?s)^OIDC_SOCK=[^\n]*\n.*echo \d+\nError: No account configured with that short name\n`, "oidc-keychain --accounts nosuch")
}

// TestPIDFile: the file exists while the agent runs, in the foreground as in the background.
func TestPIDFile(t *testing.T) {
	t.Parallel()
	l := newLogins(t)
	n := newManager(t, filepath.Join(l.home, "notify"))
	a := l.handOver(n, nil, "-d", "-a", l.home+"/s", "--pid-file="+l.home+"/pid")
	n.hear("READY=1")
	if text, _ := os.ReadFile(l.home + "/pid"); string(text) != strconv.Itoa(a.cmd.Process.Pid) {
		t.Errorf("pid file: %q", text)
	}
	a.end(n)
	for _, name := range []string{"pid", "s"} {
		if _, err := os.Lstat(filepath.Join(l.home, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	l.want(0, "^gone\n$", `eval $(oidc-agent --quiet --pid-file=pid); test "$(cat pid)" = $OIDCD_PID; kept=$?
		oidc-agent -k >/dev/null; test -e pid || test $kept != 0 || echo gone`)
	l.want(1, "Error: writing", "oidc-agent -d -a $HOME/new-XXXXXX/s --pid-file=/nonexistent/x")
	l.want(0, "^none\n$", "ls -d new-* 2>/dev/null || echo none")
}

// manager is a service manager that gets the service's notifications.
type manager struct {
	t      *testing.T
	notify *net.UnixConn
	path   string
}

func newManager(t *testing.T, path string) *manager {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &manager{t, c, path}
}

func (m *manager) hear(want string) {
	m.t.Helper()
	m.notify.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 100)
	n, err := m.notify.Read(b)
	if err != nil || string(b[:n]) != want {
		m.t.Fatalf("NOTIFY_SOCKET: %q, want %q: %v", b[:n], want, err)
	}
}

// service is an agent that a service manager has started.
type activatedAgent struct {
	cmd *exec.Cmd
	log *strings.Builder
}

// handOver starts an agent with a socket that is passed to it.
func (l *logins) handOver(m *manager, socket *os.File, args ...string) *activatedAgent {
	l.t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$; export LISTEN_PID; exec oidc-agent "$@"`, "sh"}, args...)...)
	log := &strings.Builder{}
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, l.home
	cmd.Env = []string{"HOME=" + l.home, "TMPDIR=" + l.home, "PATH=" + l.bin, "NOTIFY_SOCKET=" + m.path}
	if socket != nil {
		cmd.ExtraFiles = []*os.File{socket}
		cmd.Env = append(cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=oidc")
	} else {
		cmd.Args[2] = `exec oidc-agent "$@"`
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return &activatedAgent{cmd, log}
}

func (a *activatedAgent) end(m *manager) {
	m.t.Helper()
	a.cmd.Process.Signal(syscall.SIGTERM)
	m.hear("STOPPING=1")
	if err := a.cmd.Wait(); err != nil {
		m.t.Errorf("%v\n%s", err, a.log)
	}
}

// TestActivation: a service manager passes a listening socket, is notified that the agent is ready and that it stops,
// and keeps the socket for the next agent. The shells find the agent.
func TestActivation(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{"path": "", "abstract": fmt.Sprintf("@oidc-agent-test-%d", os.Getpid())} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLogins(t)
			if address == "" {
				address = filepath.Join(l.home, "notify")
			}
			m := newManager(t, address)
			path := filepath.Join(l.home, "oidc-agent", "oidc-agent.sock")
			os.Mkdir(filepath.Dir(path), 0o700)
			listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			socket, err := listener.File()
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			for range 2 {
				a := l.handOver(m, socket, "--console")
				m.hear("READY=1")
				l.want(0, fmt.Sprintf("^%d at %s\n$", a.cmd.Process.Pid, regexp.QuoteMeta(path)),
					"eval $(oidc-agent-service use)"+reach, "XDG_RUNTIME_DIR="+l.home)
				l.want(0, fmt.Sprintf("^%d at", a.cmd.Process.Pid), "eval $(oidc-agent-service use)"+reach)
				a.end(m)
				if a.log.Len() > 0 {
					t.Errorf("it said: %s", a.log)
				}
				if _, err := os.Lstat(path); err != nil {
					t.Error("the agent has removed the service manager's socket")
				}
			}
		})
	}
}

// TestActivationRefused: the agent checks what is passed to it.
func TestActivationRefused(t *testing.T) {
	t.Parallel()
	l := newLogins(t)
	m := newManager(t, filepath.Join(l.home, "notify"))
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	tcpFile, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	datagrams, err := m.notify.File()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pair[1])
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	for want, socket := range map[string]*os.File{
		"is not a Unix socket":                      tcpFile,
		"does not listen (operation not supported)": datagrams,
		"does not listen (invalid argument)":        os.NewFile(uintptr(pair[0]), "pair"),
		"is not a socket":                           null,
	} {
		defer socket.Close()
		a := l.handOver(m, socket, "-d")
		err := a.cmd.Wait()
		if log := a.log.String(); err == nil || !strings.Contains(log, "Error: socket activation: descriptor 3 (name \"oidc\") "+want) {
			t.Errorf("%s: %v, %s", want, err, log)
		}
	}
	l.want(1, `LISTEN_FDS is "2"`, `export LISTEN_PID=$$ LISTEN_FDS=2; exec oidc-agent -d`)
}
