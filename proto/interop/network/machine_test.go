// Package network tests the programs in typical networks of sites: behind a proxy, with private CAs, with one address
// family, through ssh, in a container. The machines are namespaces that end with the test, which needs root. A missing
// program is a failure, never a skip.
package network

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"oidc-agent/proto/e2e/user"
)

// patience is how long anything may take on a busy machine.
const patience = time.Minute

var installed = sync.OnceValues(func() (string, error) {
	dir, err := user.Install("../../..")
	toRemove = dir
	return dir, err
})

var toRemove string

func TestMain(m *testing.M) {
	code := m.Run()
	if toRemove != "" {
		os.RemoveAll(toRemove)
	}
	os.Exit(code)
}

// A machine has its own network, name and /etc, and shares everything else with the host.
type machine struct {
	t   *testing.T
	pid string
	dir string // for files; /etc is below it
	bin string // our programs
}

// newMachine starts a machine with this host name. hosts are lines for /etc/hosts.
func newMachine(t *testing.T, name, hosts string) *machine {
	t.Helper()
	bin, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "net-") // not t.TempDir, which other users cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--net", "--mount", "--uts", "--", "sh", "-e", "-c",
		`cp -a /etc "$2/etc"; mount --bind "$2/etc" /etc; hostname "$1"; ip link set lo up; echo ready; exec cat`, "sh", name, dir)
	end, err := cmd.StdinPipe() // cat, and with it the machine, ends with the test
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, dir: dir, bin: bin}
	p := m.watch(cmd, "^ready")
	t.Cleanup(func() { end.Close() })
	m.pid = fmt.Sprint(p.cmd.Process.Pid)
	m.write("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"+hosts)
	m.write("etc/resolv.conf", "")
	return m
}

// link connects two machines and sets the addresses of each end.
func link(a, b *machine, ofA, ofB string) {
	a.t.Helper()
	must(a.t, exec.Command("ip", "link", "add", "cable", "netns", a.pid, "type", "veth", "peer", "name", "cable", "netns", b.pid))
	for m, addresses := range map[*machine]string{a: ofA, b: ofB} {
		for _, address := range strings.Fields(addresses) {
			args := []string{"ip", "address", "add", address, "dev", "cable"}
			if strings.Contains(address, ":") {
				args = append(args, "nodad") // otherwise it can be used only after a second
			}
			m.run(args...)
		}
		m.run("ip", "link", "set", "cable", "up")
	}
}

func (m *machine) write(file, text string) string {
	m.t.Helper()
	file = filepath.Join(m.dir, file)
	err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600))
	if err == nil && strings.HasPrefix(file, m.dir+"/etc/") {
		err = os.Chmod(file, 0o644)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return file
}

// command prepares a program to run on the machine. Leading NAME=VALUE arguments are its environment.
func (m *machine) command(args ...string) *exec.Cmd {
	env := []string{"HOME=" + m.dir, "TMPDIR=" + m.dir, "PATH=" + m.bin + ":/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	for strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	cmd := exec.Command("nsenter", append([]string{"--target", m.pid, "--net", "--mount", "--uts", "--"}, args...)...)
	cmd.Env = env
	return cmd
}

// run runs a program that must succeed and returns its stdout, trimmed.
func (m *machine) run(args ...string) string {
	m.t.Helper()
	return must(m.t, m.command(args...))
}

// fail runs a program that must fail and returns its stderr.
func (m *machine) fail(args ...string) string {
	m.t.Helper()
	stdout, stderr, err := try(m.command(args...))
	if err == nil {
		m.t.Fatalf("%q succeeds: %s", args, stdout)
	}
	return stderr
}

func must(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	stdout, stderr, err := try(cmd)
	if err != nil {
		t.Fatalf("%q: %v (are root's rights and all packages there?)\n%s%s", cmd.Args, err, stdout, stderr)
	}
	return strings.TrimSpace(stdout)
}

func try(cmd *exec.Cmd) (stdout, stderr string, err error) {
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &problems, patience
	if err := cmd.Start(); err != nil {
		return "", "", err
	}
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	err = cmd.Wait()
	return out.String(), problems.String(), err
}

// A process runs in the background; the test can read its output.
type process struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// start starts a program on the machine and returns when a line of it matches.
func (m *machine) start(ready string, args ...string) *process {
	m.t.Helper()
	return m.watch(m.command(args...), ready)
}

func (m *machine) watch(cmd *exec.Cmd, ready string) *process {
	m.t.Helper()
	p, pattern, done := &process{cmd: cmd}, regexp.MustCompile("(?m)"+ready), make(chan bool, 1)
	r, w, err := os.Pipe()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := errors.Join(cmd.Start(), w.Close()); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(p.stop)
	go func() {
		defer r.Close()
		buf := make([]byte, 4096)
		for {
			n, err := r.Read(buf)
			p.mu.Lock()
			p.text.Write(buf[:n])
			found := pattern.Match(p.text.Bytes())
			p.mu.Unlock()
			if found || err != nil {
				select {
				case done <- found:
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case found := <-done:
		if found {
			return p
		}
	case <-time.After(patience):
	}
	m.t.Fatalf("%q does not start (are root's rights and all packages there?):\n%s", cmd.Args, p.said())
	return nil
}

// stop ends the process. Further calls do nothing.
func (p *process) stop() {
	if p.cmd.ProcessState == nil {
		p.cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
		p.cmd.Wait()
		late.Stop()
	}
}

// provider starts fakeidp as https://idp.example/ (the machine's name) at an address, and returns the file with its CA.
func (m *machine) provider(address string, args ...string) (ca string) {
	m.t.Helper()
	ca = filepath.Join(m.dir, "ca.pem")
	m.start("^https://", append([]string{"fakeidp", "--tls", "--ca-out=" + ca, "--auto-approve", "--device-interval=1s", "--control",
		"--listen=" + address, "--issuer=https://idp.example/"}, args...)...)
	return ca
}

// agent starts an agent in a new home and returns the variables that its clients need.
func (m *machine) agent(env ...string) (p *process, variables []string) {
	m.t.Helper()
	home, err := os.MkdirTemp(m.dir, "home")
	if err == nil {
		err = os.Mkdir(filepath.Join(home, ".config"), 0o700)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	variables = []string{"HOME=" + home, "OIDC_SOCK=" + filepath.Join(home, "agent.sock"), "OIDC_ENCRYPTION_PW=correct horse"}
	args := append(append([]string{variables[0]}, env...), "oidc-agent", "--console", "--debug", "--log-stderr", "-a", home+"/agent.sock")
	return m.start("^OIDCD_PID=", args...), variables
}

// generate returns the command that makes an account.
func generate(variables []string, more ...string) []string {
	return append(append(append([]string{}, variables...), "oidc-gen", "-w", "device", "--prompt=none", "--pw-env",
		"--issuer=https://idp.example/", "--scope=openid profile offline_access"), append(more, "demo")...)
}

// token returns the command that gets a new token.
func token(variables []string) []string {
	return append(append([]string{}, variables...), "oidc-token", "-f", "demo")
}

// wantToken fails unless the account gives a token.
func (m *machine) wantToken(variables []string) {
	m.t.Helper()
	if t := m.run(token(variables)...); strings.Count(t, ".") != 2 {
		m.t.Errorf("no token: %q", t)
	}
}

// wantText fails unless the output contains all texts.
func wantText(t *testing.T, said string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("%q is not part of\n%s", text, said)
		}
	}
}
