package user

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Programs are the binaries, and the rooms that they are made of.
var Programs = map[string]string{
	"oidc-agent": "agent",
	"oidc-gen":   "gen",
	"oidc-add":   "add",
	"oidc-token": "token",
	"fakeidp":    "fakeidp",
}

// Install builds all programs, static as they are released, into a new folder
// that any user may read. The caller removes it. root is the repository. With
// GOCOVERDIR set the programs count there what they run of themselves.
func Install(root string) (dir string, err error) {
	if err := noteSources(root); err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp("", "oidc-bin"); err != nil {
		return "", err
	}
	errs := []error{os.Chmod(dir, 0o755), os.Symlink("oidc-token", filepath.Join(dir, "oidc-tokensh")),
		os.Symlink("oidc-agent", filepath.Join(dir, "oidc-agent-service")), os.Symlink("oidc-agent", filepath.Join(dir, "oidc-keychain"))}
	for name, room := range Programs {
		args := []string{"build", "-trimpath", "-o", filepath.Join(dir, name)}
		if os.Getenv("GOCOVERDIR") != "" {
			args = append(args, "-cover", "-coverpkg=oidc-agent/...")
		}
		cmd := exec.Command("go", append(args, "./"+room)...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("go build %s: %w\n%s", room, err, out))
		}
	}
	return dir, errors.Join(errs...)
}

// noteSources opens all sources: so go test knows that a test's result depends
// on them, and does not show an old one out of its cache.
func noteSources(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		f, err := os.Open(path)
		if err == nil {
			f.Close()
		}
		return err
	})
}
