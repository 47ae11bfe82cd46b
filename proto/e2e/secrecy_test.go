package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"oidc-agent/proto/e2e/user"
)

// Secrets in options, in whatever form, are removed from the process list before the program waits for anything.
func TestSecretOptions(t *testing.T) {
	t.Parallel()
	bin := binaries(t)
	for _, args := range [][]string{
		{"--rt=hunter2"}, {"--rt", "hunter2"}, {"--refresh-token=hunter2"}, {"--refresh-token", "hunter2"},
		{"--client-secret=hunter2"}, {"--client-s", "hunter2"}, {"--op-password", "hunter2"}, {"--op-p=hunter2"},
		{"--at=hunter2"}, {"--access-token", "hunter2"}, {"--access-t=hunter2"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			agent, err := net.Listen("unix", filepath.Join(scriptDir(t), "agent"))
			if err != nil {
				t.Fatal(err)
			}
			defer agent.Close()
			gen := exec.Command(filepath.Join(bin, "oidc-gen"), append(args, "--prompt=none", "demo")...)
			gen.Env = []string{"HOME=" + t.TempDir(), "OIDC_SOCK=" + agent.Addr().String()}
			if err := gen.Start(); err != nil {
				t.Fatal(err)
			}
			defer gen.Wait()
			defer gen.Process.Kill()
			conn, err := agent.Accept() // now it waits for the answer
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			shown, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", gen.Process.Pid))
			if err != nil || strings.Contains(string(shown), "hunter2") || !strings.Contains(string(shown), "*******\x00--prompt") {
				t.Errorf("the process list shows %q, %v", shown, err)
			}
		})
	}
}

// Other processes of the user cannot see into an agent, and it leaves no core file. Secrets in the environment that it
// is started in are not in its own.
func TestAgentProcess(t *testing.T) {
	t.Parallel()
	if !asRoot(t) {
		return
	}
	for name, args := range map[string][]string{
		"background": {"--quiet"},
		"foreground": {"--console"},
		"command":    {"--", "sh", "-c", `echo "OIDCD_PID=$OIDCD_PID; $OIDC_ENCRYPTION_PW"; read wait`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pid := startBeside(t, append([]string{"oidc-agent"}, args...))
			environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			if err != nil || strings.Contains(string(environment), "hunter2") || !strings.Contains(string(environment), "OTHER=kept") {
				t.Errorf("its environment is %q, %v", environment, err)
			}
			limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
			if err != nil || !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits) {
				t.Errorf("its limits are %s, %v", limits, err)
			}
			if opened, attached := peep(pid); !errors.Is(opened, fs.ErrPermission) || !errors.Is(attached, fs.ErrPermission) {
				t.Errorf("another process of its user opens its memory: %v, attaches itself: %v", opened, attached)
			}
		})
	}
	if opened, attached := peep(startBeside(t, []string{"sh", "-c", "echo OIDCD_PID=$$; read wait"})); opened != nil || attached != nil {
		t.Errorf("nor with any other process: %v, %v", opened, attached)
	}
}

// startBeside starts a program that prints the pid of the process to look at. Both end with the test.
func startBeside(t *testing.T, args []string) (pid int) {
	t.Helper()
	s, err := newScript(scriptDir(t), binaries(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(s.env, map[string]string{"OTHER": "kept", "OIDC_ENCRYPTION_PW": "hunter2", "OIDC_REFRESH_TOKEN": "hunter2"})
	// The shell finds the program in the script's PATH, and allows core files.
	cmd := exec.Command("/bin/sh", append([]string{"-c", `ulimit -c "$(ulimit -H -c)" && exec "$@"`, "sh"}, args...)...)
	cmd.Env = s.environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: user.Ordinary, Gid: user.Ordinary}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if pid > 0 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := regexp.MustCompile(`OIDCD_PID=(\d+)`).FindStringSubmatch(lines.Text()); m != nil {
			if pid, err = strconv.Atoi(m[1]); err == nil {
				return pid
			}
		}
	}
	t.Fatalf("%q names no process", args)
	return 0
}

// peep does what a debugger of the process's user does: it opens the memory and attaches itself. Its thread changes to
// that user for good, and so ends.
func peep(pid int) (opened, attached error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		for _, become := range []uintptr{syscall.SYS_SETRESGID, syscall.SYS_SETRESUID} {
			if _, _, errno := syscall.RawSyscall(become, user.Ordinary, user.Ordinary, user.Ordinary); errno != 0 {
				opened = errno
				return
			}
		}
		var memory *os.File
		if memory, opened = os.Open(fmt.Sprintf("/proc/%d/mem", pid)); opened == nil {
			memory.Close()
		}
		if attached = syscall.PtraceAttach(pid); attached == nil {
			syscall.Wait4(pid, nil, syscall.WALL, nil)
			attached = syscall.PtraceDetach(pid)
		}
	}()
	<-done
	return opened, attached
}

// Only the user can access the files that the programs create, whatever the umask.
func TestModes(t *testing.T) {
	t.Parallel()
	for _, mask := range []string{"000", "077"} {
		t.Run(mask, func(t *testing.T) {
			t.Parallel()
			dir := scriptDir(t)
			s, err := newScript(dir, binaries(t), map[string]string{"pw": "correct horse", ".config/given": ""})
			if err != nil {
				t.Fatal(err)
			}
			s.patience = patience
			t.Cleanup(func() { s.close() })
			if err := theIDP(s, []string{"--auto-approve", "--device-interval=1s", "--rotate"}); err != nil {
				t.Fatal(err)
			}
			masked := func(args ...string) {
				t.Helper()
				args = append([]string{"sh", "-c", "umask " + mask + ` && exec "$@"`, "sh"}, args...)
				if err := s.program(args, false); err != nil {
					t.Fatalf("%q: %v\n%s", args, err, s.shown())
				}
			}
			masked("oidc-agent", "--pid-file="+s.path("pid"))
			for _, m := range assignment.FindAllStringSubmatch(s.last.Stdout, -1) {
				s.env[m[1]] = m[2]
			}
			for _, name := range []string{"demo", "second"} {
				masked("oidc-gen", "-w", "device", "--prompt=none", "--pw-file=pw", "--issuer="+s.env["ISSUER"], "--scope=openid", name)
			}
			masked("oidc-token", "-f", "demo")
			masked("oidc-gen", "--update=second", "--pw-file=pw")
			masked("oidc-gen", "--rename=third", "second", "--pw-file=pw")
			found := modes(t, s.env["HOME"])
			maps.Copy(found, modes(t, s.env["TMPDIR"]))
			for _, name := range []string{"demo", ".demo.lock", "third", "issuer.config", "pid", filepath.Base(s.env["OIDC_SOCK"])} {
				if !found[name] {
					t.Errorf("there is no %s in %v", name, slices.Sorted(maps.Keys(found)))
				}
			}
		})
	}
}

// modes checks a folder and everything below it.
func modes(t *testing.T, folder string) (found map[string]bool) {
	found = map[string]bool{}
	filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Error(err)
			return nil
		}
		info, err := d.Info()
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		found[d.Name()] = true
		return nil
	})
	return found
}

// asRoot reports whether the test may look into other users' processes. In CI it must.
func asRoot(t *testing.T) bool {
	if os.Getuid() != 0 && os.Getenv("CI") != "" {
		t.Fatal("only root can look into the agent")
	}
	if os.Getuid() != 0 {
		t.Log("nothing was tested: only root can look into the agent")
	}
	return os.Getuid() == 0
}
