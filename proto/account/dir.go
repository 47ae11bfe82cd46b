package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// Dir is a configuration directory. Each account is a file in it, named by the account's short name. Use [FindDir]
// or [OpenDir] to get one. The zero value stands for a missing directory.
type Dir struct{ path string }

// ErrNoDir means that there is no configuration directory.
var ErrNoDir = errors.New("no configuration directory")

// FindDir returns the first of $OIDC_CONFIG_DIR, ~/.config/oidc-agent and ~/.oidc-agent that exists. If none does,
// the error wraps [ErrNoDir]. It is another error if neither $OIDC_CONFIG_DIR nor $HOME is set.
func FindDir() (Dir, error) {
	paths, err := candidates()
	if err != nil {
		return Dir{}, err
	}
	if i := slices.IndexFunc(paths, func(path string) bool { return modeOf(path).IsDir() }); i >= 0 {
		return Dir{paths[i]}, nil
	}
	return Dir{}, fmt.Errorf("%w: looked for %s", ErrNoDir, strings.Join(paths, ", "))
}

// OpenDir returns the directory that [FindDir] finds. If there is none, OpenDir creates the first one of the three
// whose parent exists, for the user alone.
func OpenDir() (Dir, error) {
	d, notFound := FindDir()
	if !errors.Is(notFound, ErrNoDir) {
		return d, notFound
	}
	paths, _ := candidates() // FindDir has checked the error
	i := slices.IndexFunc(paths, func(path string) bool { return modeOf(filepath.Dir(path)).IsDir() })
	if i < 0 {
		return Dir{}, fmt.Errorf("%w, and no place to create one", notFound)
	}
	err := os.MkdirAll(paths[i], 0o700) // no error if another process was faster
	if err == nil {
		err = os.Chmod(paths[i], 0o700) // whatever the umask says
	}
	if err != nil {
		return Dir{}, fmt.Errorf("creating the configuration directory: %w", err)
	}
	return Dir{paths[i]}, nil
}

// etc is the directory of the site's settings.
const etc = "/etc/oidc-agent"

// places returns the directories of settings: the user's, if there is one, and the site's.
func places() []string {
	if d, err := FindDir(); err == nil {
		return []string{d.path, etc}
	}
	return []string{etc}
}

// candidates returns the paths where the directory may be, in the order of preference.
func candidates() (paths []string, err error) {
	own, home := os.Getenv("OIDC_CONFIG_DIR"), os.Getenv("HOME")
	if own == "" && home == "" {
		return nil, errors.New("no configuration directory: HOME is not set, nor is OIDC_CONFIG_DIR")
	}
	if own != "" {
		paths = append(paths, own)
	}
	if home != "" {
		paths = append(paths, filepath.Join(home, ".config", "oidc-agent"), filepath.Join(home, ".oidc-agent"))
	}
	for i, path := range paths {
		if paths[i], err = filepath.Abs(path); err != nil { // the agent changes its working directory
			return nil, fmt.Errorf("configuration directory %q: %w", path, err)
		}
	}
	return paths, nil
}

// modeOf returns the mode of a file, following links. If there is none, it is neither a directory nor a regular file.
func modeOf(path string) fs.FileMode {
	info, err := os.Stat(path)
	if err != nil {
		return fs.ModeIrregular
	}
	return info.Mode()
}

// Path returns the directory's absolute path.
func (d Dir) Path() string { return d.path }

// File returns the absolute path of an account's file, which need not exist. It refuses names that an account
// cannot have, in particular those that would leave the directory.
func (d Dir) File(name string) (string, error) {
	if d.path == "" {
		return "", ErrNoDir
	}
	if problem := nameProblem(name); problem != "" {
		return "", fmt.Errorf("%q cannot be the name of an account: %s", name, problem)
	}
	return filepath.Join(d.path, name), nil
}

// maxName limits a short name, in bytes. File systems allow 255, but the names of lock files and temporary files
// are longer.
const maxName = 200

// nameProblem returns what is wrong with a short name, or "".
func nameProblem(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case strings.Contains(name, "/"):
		return "it contains a slash"
	case name[0] == '.':
		return "it starts with a dot"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "it contains a control character"
	case len(name) > maxName:
		return fmt.Sprintf("it is longer than %d bytes", maxName)
	}
	// Files that the C tools do not take for accounts.
	ending := filepath.Ext(name)
	if name == "config" || slices.Contains([]string{".config", ".stats", ".log"}, ending) ||
		strings.TrimRight(ending, "0123456789") == ".clientconfig" {
		return "the name is reserved for another kind of file"
	}
	return ""
}

// List returns the short names of all accounts with a file in the directory, sorted by their bytes. It follows links.
func (d Dir) List() ([]string, error) {
	entries, err := os.ReadDir(d.path) // sorted
	if err != nil {
		return nil, fmt.Errorf("listing the accounts: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if nameProblem(entry.Name()) == "" && modeOf(filepath.Join(d.path, entry.Name())).IsRegular() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// Remove deletes an account's file. The lock file stays, because others may have it open to wait for the lock.
func (d Dir) Remove(name string) error {
	path, err := d.File(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing account %q: %w", name, err)
	}
	return syncDir(d.path)
}
