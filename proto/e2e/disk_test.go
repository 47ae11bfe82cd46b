package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/e2e/user"
	"oidc-agent/proto/ipc"
)

// A trouble keeps an agent from writing the account file until it ends.
type trouble struct {
	begin, end func(*site) error
	says       string // part of the warning to the user
	mount      bool   // needs the folder to be a separate file system
}

var troubles = map[string]trouble{
	"no space left":  {fillDisk, emptyDisk, "no space left on device", true},
	"read-only disk": {remount(unix.MS_RDONLY), remount(0), "read-only file system", true},
	"closed folder":  {modeOfFolder(0o500), modeOfFolder(0o700), "permission denied", false},
	"file deleted":   {takeAway, putBack, "no such account file", false},
}

// TestTroubles: while the file cannot be written, the new refresh token stays in the agent's memory and works, and
// the user gets a warning. The agent writes the file as soon as it can.
func TestTroubles(t *testing.T) {
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if trouble.mount && !mayMount(t) {
				return
			}
			s := newSite(t)
			if trouble.mount {
				s.mountFolder()
			}
			trouble.play(s)
		})
	}
}

func (d trouble) play(s *site) {
	n := s.boot("node")
	n.load()
	before, renamed := s.content(), watchFile(s.T, s.file, unix.IN_MOVED_TO)
	d.do(s, d.begin)
	for range 2 {
		if warning := n.refresh().Text(ipc.KeyWarning); !strings.Contains(warning, d.says) {
			s.Errorf("the user is told %q, want %q", warning, d.says)
		}
	}
	said := n.program("oidc-token demo")
	if !n.accepts(strings.TrimSpace(said.Stdout)) || strings.Count(said.Stderr, "oidc-token: warning: ") != 1 || !strings.Contains(said.Stderr, d.says) {
		s.Errorf("oidc-token prints %q, and %q", said.Stdout, said.Stderr)
	}
	if after := s.content(); after != nil && !bytes.Equal(after, before) {
		s.Errorf("the file was %q, and is %q", before, after)
	}
	d.do(s, d.end)
	for _, newest := s.tokens(); s.saved() != newest; {
		renamed.next()
	}
	if warning := n.refresh().Text(ipc.KeyWarning); warning != "" {
		s.Errorf("all is well, and the user is told %q", warning)
	}
	if left := s.temps(); len(left) > 0 {
		s.Errorf("temporary files stay behind: %q", left)
	}
	n.kill()
	n = s.boot("node")
	n.add()
	n.refresh()
}

func (d trouble) do(s *site, what func(*site) error) {
	s.Helper()
	if err := what(s); err != nil {
		s.Fatal(err)
	}
}

// content returns the account file, or nil if there is none.
func (s *site) content() []byte {
	data, err := os.ReadFile(s.file)
	if err != nil && !os.IsNotExist(err) {
		s.Fatal(err)
	}
	return data
}

// mayMount reports whether the test can mount a file system.
func mayMount(t *testing.T) bool {
	if os.Getuid() == 0 {
		return true
	}
	if os.Getenv("CI") != "" {
		t.Fatal("only root can mount a file system: run the tests as root")
	}
	t.Log("only root can mount a file system: nothing is tested")
	return false
}

// mountFolder mounts a small file system at the config directory.
func (s *site) mountFolder() {
	s.Helper()
	folder := filepath.Dir(s.file)
	options := fmt.Sprintf("size=64k,mode=700,uid=%d,gid=%d", user.Ordinary, user.Ordinary)
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, options); err != nil {
		s.Fatalf("mount: %v", err)
	}
	s.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			s.Errorf("unmount: %v", err)
		}
	})
	s.login()
}

func (s *site) filler() string { return filepath.Join(filepath.Dir(s.file), ".filler") }

func fillDisk(s *site) error {
	f, err := os.Create(s.filler())
	if err != nil {
		return err
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if errors.Is(err, unix.ENOSPC) {
		return nil
	}
	return err
}

func emptyDisk(s *site) error { return os.Remove(s.filler()) }

func remount(how uintptr) func(*site) error {
	return func(s *site) error {
		return unix.Mount("tmpfs", filepath.Dir(s.file), "tmpfs", unix.MS_REMOUNT|how, "")
	}
}

func modeOfFolder(mode os.FileMode) func(*site) error {
	return func(s *site) error { return os.Chmod(filepath.Dir(s.file), mode) }
}

// away is another folder of the user.
func (s *site) away() string { return s.script.path("away") }

func takeAway(s *site) error { return os.Rename(s.file, s.away()) }

func putBack(s *site) error { return os.Rename(s.away(), s.file) }

// TestOlderCopy: the user restores yesterday's copy of the file. The agent knows that its refresh token was used, and
// does not use it.
func TestOlderCopy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.boot("node")
	n.load()
	yesterday := s.content()
	for range 3 {
		n.refresh()
		s.restore(yesterday)
		n.refresh()
		if _, newest := s.tokens(); s.saved() != newest {
			t.Error("the file does not hold the newest refresh token")
		}
	}
	if _, twice := s.refreshes(); twice > 0 {
		t.Error("a refresh token was used twice")
	}
}

// TestNewLoginMeanwhile: while the agent cannot write its refresh token, the user logs in again on another machine. The
// file from there is newer than what the agent has, and stays as it is.
func TestNewLoginMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.boot("node")
	n.load()
	if err := takeAway(s); err != nil {
		t.Fatal(err)
	}
	n.refresh()
	s.login()
	after := s.content()
	if warning := n.refresh().Text(ipc.KeyWarning); !strings.Contains(warning, "someone else has put another refresh token into it") {
		t.Errorf("the user is told %q", warning)
	}
	if !bytes.Equal(s.content(), after) {
		t.Error("the agent has overwritten the new login")
	}
	n.kill()
	n = s.boot("node")
	n.load()
	n.refresh()
}
