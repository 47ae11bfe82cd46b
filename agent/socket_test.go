package main

import (
	"bufio"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// programName makes the test binary behave as oidc-agent when it is called by this name.
const programName = "oidc-agent"

// asRoot reports whether tests can act as other users. CI must be able to.
func asRoot(t *testing.T) bool {
	if os.Getuid() != 0 && os.Getenv("CI") != "" {
		t.Fatal("CI must run this as root")
	}
	return os.Getuid() == 0
}

// stale makes a socket on which nobody listens.
func stale(t *testing.T, path string) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	for { // a child process that is just being started may hold the descriptor for a moment
		conn, err := net.Dial("unix", path)
		if err != nil {
			return
		}
		conn.Close()
	}
}

func TestListenRefuses(t *testing.T) {
	t.Parallel()
	mode := func(mode fs.FileMode) func(string) error {
		return func(path string) error { return os.Chmod(filepath.Dir(path), mode) }
	}
	cases := map[string]struct {
		prepare func(path string) error
		want    string
	}{
		"file":     {func(path string) error { return os.WriteFile(path, nil, 0o600) }, "not a socket"},
		"folder":   {func(path string) error { return os.Mkdir(path, 0o700) }, "not a socket"},
		"symlink":  {func(path string) error { stale(t, path+"x"); return os.Symlink(path+"x", path) }, "not a socket"},
		"dangling": {func(path string) error { return os.Symlink("nowhere", path) }, "not a socket"},
		"alive": {func(path string) error {
			s, err := listen(path, "")
			if err == nil {
				t.Cleanup(s.remove)
			}
			return err
		}, "already listens there"},
		"others may write": {mode(0o707), "others may write"},
	}
	if asRoot(t) {
		cases["another's"] = struct {
			prepare func(path string) error
			want    string
		}{func(path string) error { stale(t, path); return os.Chown(path, 65534, 65534) }, "another user"}
		cases["another group may write"] = struct {
			prepare func(path string) error
			want    string
		}{func(path string) error {
			return errors.Join(os.Chown(filepath.Dir(path), -1, 65534), os.Chmod(filepath.Dir(path), 0o770))
		}, "others may write"}
		cases["another's folder"] = struct {
			prepare func(path string) error
			want    string
		}{func(path string) error { return os.Chown(filepath.Dir(path), 65534, 65534) }, "others may write"}
	}
	for name, c := range cases {
		path := filepath.Join(t.TempDir(), "sock")
		if err := c.prepare(path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Lstat(path)
		s, err := listen(path, "")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if s != nil {
			s.remove()
		}
		if after, _ := os.Lstat(path); before != nil && (after == nil || !os.SameFile(before, after)) {
			t.Errorf("%s: the file that was there is gone", name)
		}
	}
}

// When several agents start at once on the socket of a dead one, exactly one of them listens, and the socket is
// its own.
func TestListenRace(t *testing.T) {
	t.Parallel()
	for range 20 {
		path := filepath.Join(t.TempDir(), "sock")
		stale(t, path)
		var all sync.WaitGroup
		var winner atomic.Pointer[socket]
		for range 8 {
			all.Go(func() {
				s, err := listen(path, "")
				switch {
				case err != nil && !strings.Contains(err.Error(), "already listens there"):
					t.Error(err)
				case err == nil && winner.Swap(s) != nil:
					t.Error("two have made the socket")
				}
			})
		}
		all.Wait()
		s := winner.Load()
		if s == nil {
			t.Fatal("nobody has made the socket")
		}
		if conn, err := net.Dial("unix", path); err != nil {
			t.Error(err)
		} else {
			conn.Close()
		}
		s.remove()
	}
}

// The modes do not depend on the umask.
func TestListenModes(t *testing.T) {
	t.Parallel()
	program := programLink(t)
	group := "--with-group=" + aGroup(t).Name
	for _, c := range []struct {
		umask, option   string
		folder, created fs.FileMode
	}{
		{"0", "--quiet", 0o700, 0o600},
		{"022", "--quiet", 0o700, 0o600},
		{"0777", "--quiet", 0o700, 0o600},
		{"0", group, 0o750, 0o660},
		{"0777", group, 0o750, 0o660},
	} {
		if strings.HasPrefix(c.option, "--with") && !asRoot(t) {
			continue // only root may give files to a group that it is not a member of
		}
		path := filepath.Join(t.TempDir(), "new-XXXXXX") + "/sock"
		cmd := exec.Command("sh", "-c", `umask "$1"; exec "$0" -d "$2" -a "$3"`, program, c.umask, c.option, path)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString(';')
		path = strings.TrimSuffix(strings.TrimPrefix(line, "OIDC_SOCK="), ";")
		for path, want := range map[string]fs.FileMode{path: c.created, filepath.Dir(path): c.folder} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("umask %s %s: %v, %v, want %v", c.umask, c.option, info, err, want)
			}
		}
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the folder is left behind: %v", err)
		}
	}
}

// programLink returns the path of an oidc-agent.
func programLink(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	link := filepath.Join(t.TempDir(), programName)
	if err == nil {
		err = os.Symlink(program, link)
	}
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// aGroup is one that every system has.
func aGroup(t *testing.T) *user.Group {
	t.Helper()
	group, err := user.LookupGroupId("1")
	if err != nil {
		t.Fatal(err)
	}
	return group
}
