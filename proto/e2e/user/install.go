package user

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Programs are the binaries and their packages.
var Programs = map[string]string{
	"oidc-agent": "agent",
	"oidc-gen":   "gen",
	"oidc-add":   "add",
	"oidc-token": "token",
	"fakeidp":    "fakeidp",
}

// Install builds all programs of the repository root, static as in a release, into a new folder that every user can
// read, with their other names. The caller removes it. If GOCOVERDIR is set, the programs write their coverage there.
func Install(root string) (dir string, err error) {
	if err := noteSources(root); err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp("", "oidc-bin"); err != nil {
		return "", err
	}
	args := []string{"build", "-trimpath", "-o", dir}
	if os.Getenv("GOCOVERDIR") != "" {
		args = append(args, "-cover", "-coverpkg=oidc-agent/...")
	}
	for _, room := range Programs {
		args = append(args, "./"+room)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("go build: %w\n%s", err, out)
	}
	errs := []error{os.Chmod(dir, 0o755)}
	for name, room := range Programs {
		errs = append(errs, os.Rename(filepath.Join(dir, room), filepath.Join(dir, name)))
	}
	for name, program := range map[string]string{"oidc-tokensh": "oidc-token", "oidc-agent-service": "oidc-agent", "oidc-keychain": "oidc-agent"} {
		errs = append(errs, os.Symlink(program, filepath.Join(dir, name)))
	}
	return dir, errors.Join(errs...)
}

// noteSources opens all sources, so that go test knows that the result of a test depends on them and does not take an
// old one from its cache.
func noteSources(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir
		case filepath.Ext(path) == ".go":
			_, err = os.Stat(path)
		}
		return err
	})
}
