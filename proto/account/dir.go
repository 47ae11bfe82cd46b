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

// Dir is a configuration directory: an account is the file of its short name in it. Use [FindDir] or
// [OpenDir] to make one. The zero value stands for no directory: it has no files.
type Dir struct{ path string }

// ErrNoDir: none of the candidates for the configuration directory exists.
var ErrNoDir = errors.New("no configuration directory")

// FindDir returns the first that exists of $OIDC_CONFIG_DIR, ~/.config/oidc-agent and ~/.oidc-agent, else
// [ErrNoDir]. It is an error if neither $OIDC_CONFIG_DIR nor $HOME is set.
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

// OpenDir returns what FindDir finds; if that is nothing, it makes the first candidate whose parent
// exists, for the user alone.
func OpenDir() (Dir, error) {
	d, notFound := FindDir()
	if !errors.Is(notFound, ErrNoDir) {
		return d, notFound
	}
	paths, _ := candidates() // FindDir has seen its error
	i := slices.IndexFunc(paths, func(path string) bool { return modeOf(filepath.Dir(path)).IsDir() })
	if i < 0 {
		return Dir{}, fmt.Errorf("%w, and no place to make one", notFound)
	}
	err := os.MkdirAll(paths[i], 0o700) // another process may be faster
	if err == nil {
		err = os.Chmod(paths[i], 0o700) // the umask may have taken bits away
	}
	if err != nil {
		return Dir{}, fmt.Errorf("making the configuration directory: %w", err)
	}
	return Dir{paths[i]}, nil
}

// etc is where the site's settings are.
const etc = "/etc/oidc-agent"

// places are the directories of settings: the user's, where there is one, and the site's.
func places() []string {
	if d, err := FindDir(); err == nil {
		return []string{d.path, etc}
	}
	return []string{etc}
}

// candidates returns the places where the directory may be, in their order.
func candidates() (paths []string, err error) {
	own, home := os.Getenv("OIDC_CONFIG_DIR"), os.Getenv("HOME")
	if own == "" && home == "" {
		return nil, errors.New("looking for the configuration directory: HOME is not set, nor is OIDC_CONFIG_DIR")
	}
	if own != "" {
		paths = append(paths, own)
	}
	if home != "" {
		paths = append(paths, filepath.Join(home, ".config", "oidc-agent"), filepath.Join(home, ".oidc-agent"))
	}
	for i, path := range paths {
		if paths[i], err = filepath.Abs(path); err != nil { // the agent changes its working directory
			return nil, fmt.Errorf("looking for the configuration directory %q: %w", path, err)
		}
	}
	return paths, nil
}

// modeOf tells what path names, or what it links to: neither a directory nor a regular file where that is nothing.
func modeOf(path string) fs.FileMode {
	info, err := os.Stat(path)
	if err != nil {
		return fs.ModeIrregular
	}
	return info.Mode()
}

// Path returns the directory's absolute path.
func (d Dir) Path() string { return d.path }

// File returns the absolute path of the account's file, which need not exist. A name that is none, above
// all one that leaves the directory, is refused.
func (d Dir) File(name string) (string, error) {
	if d.path == "" {
		return "", ErrNoDir
	}
	if problem := nameProblem(name); problem != "" {
		return "", fmt.Errorf("%q cannot be the name of an account: %s", name, problem)
	}
	return filepath.Join(d.path, name), nil
}

// maxName, in bytes, leaves room for what names of lock files and temporary files add, within the 255
// of file systems.
const maxName = 200

// nameProblem returns what is wrong with a short name, "" if nothing is.
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
	// What the C tools leave out of the accounts.
	ending := filepath.Ext(name)
	if name == "config" || slices.Contains([]string{".config", ".stats", ".log"}, ending) ||
		strings.TrimRight(ending, "0123456789") == ".clientconfig" {
		return "files of that name are no accounts"
	}
	return ""
}

// List returns the names of the accounts that have a file here, sorted by their bytes. A link to a file
// counts as the file.
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

// Remove deletes an account's file. Its lock file stays: whoever waits for the lock has it open.
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
