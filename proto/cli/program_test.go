package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// LookPath skips files that cannot be run, as a shell does.
func TestLookPath(t *testing.T) {
	dir, later := t.TempDir(), t.TempDir()
	t.Setenv("PATH", filepath.Join(dir, "missing")+":"+dir+":"+later)
	for _, path := range []string{filepath.Join(dir, "tool"), filepath.Join(later, "tool")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tool", "folder", "nowhere"} {
		if path, err := LookPath(name); err == nil {
			t.Errorf("%s: found %q", name, path)
		}
	}
	want := filepath.Join(later, "tool")
	if err := os.Chmod(want, 0o700); err != nil {
		t.Fatal(err)
	}
	if path, err := LookPath("tool"); err != nil || path != want {
		t.Errorf("found %q, %v, not %q", path, err, want)
	}
	if path, err := LookPath("./tool"); err != nil || path != "./tool" {
		t.Errorf("found %q, %v, not the path itself", path, err)
	}
}

// Sister finds the test binary beside itself, and another program in PATH.
func TestSister(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	elsewhere := filepath.Join(dir, "oidc-elsewhere")
	if err := os.WriteFile(elsewhere, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{own, elsewhere} {
		if path, err := Sister(filepath.Base(want)); err != nil || path != want {
			t.Errorf("found %q, %v, not %q", path, err, want)
		}
	}
}

func TestSSHAskpass(t *testing.T) {
	for _, c := range []struct {
		display, wayland, require string
		want                      bool
	}{
		{"", "", "", false},
		{":0", "", "", true},
		{"", "wayland-0", "", true},
		{":0", "", "never", false},
		{":0", "", "prefer", true},
		{"", "", "prefer", false},
		{"", "", "force", true},
	} {
		t.Setenv("SSH_ASKPASS", "ask")
		t.Setenv("DISPLAY", c.display)
		t.Setenv("WAYLAND_DISPLAY", c.wayland)
		t.Setenv("SSH_ASKPASS_REQUIRE", c.require)
		if got := SSHAskpass(); (got == "ask") != c.want || got != "" && !c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
