package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// What cannot be run is passed over, as a shell does.
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
}
