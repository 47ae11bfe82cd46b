package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
func FindDir() (Dir, error) { return findDir(os.Getenv) }

// OpenDir returns what FindDir finds; if that is nothing, it makes the first candidate whose parent
// exists, for the user alone.
func OpenDir() (Dir, error) { return openDir(os.Getenv) }

// candidates returns the places where the directory may be, in their order.
func candidates(getenv func(string) string) ([]string, error) {
	var paths []string
	if own := getenv("OIDC_CONFIG_DIR"); own != "" {
		path, err := filepath.Abs(own) // the agent changes its working directory
		if err != nil {
			return nil, fmt.Errorf("OIDC_CONFIG_DIR=%q: %w", own, err)
		}
		paths = append(paths, path)
	}
	home := getenv("HOME")
	if home == "" && len(paths) > 0 {
		return paths, nil
	}
	if home == "" {
		return nil, errors.New("looking for the configuration directory: HOME is not set, nor is OIDC_CONFIG_DIR")
	}
	absolute, err := filepath.Abs(home)
	if err != nil {
		return paths, fmt.Errorf("HOME=%q: %w", home, err)
	}
	return append(paths, filepath.Join(absolute, ".config", "oidc-agent"), filepath.Join(absolute, ".oidc-agent")), nil
}

func findDir(getenv func(string) string) (Dir, error) {
	paths, err := candidates(getenv)
	for _, path := range paths {
		if isDir(path) {
			return Dir{path}, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: looked for %s", ErrNoDir, strings.Join(paths, ", "))
	}
	return Dir{}, err
}

func openDir(getenv func(string) string) (Dir, error) {
	d, notFound := findDir(getenv)
	if !errors.Is(notFound, ErrNoDir) {
		return d, notFound
	}
	paths, _ := candidates(getenv) // findDir has seen its error
	for _, path := range paths {
		if isDir(filepath.Dir(path)) {
			return makeDir(path)
		}
	}
	return Dir{}, fmt.Errorf("%w, and no place to make one", notFound)
}

// makeDir makes a directory for the user alone, whatever the umask; another process may be faster.
func makeDir(path string) (Dir, error) {
	if err := os.Mkdir(path, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) && isDir(path) {
			return Dir{path}, nil
		}
		return Dir{}, fmt.Errorf("making the configuration directory: %w", err)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return Dir{}, fmt.Errorf("making the configuration directory: %w", err)
	}
	return Dir{path}, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Path returns the directory's absolute path.
func (d Dir) Path() string { return d.path }

// File returns the absolute path of the account's file, which need not exist. A name that is none, above
// all one that leaves the directory, is refused with a *[NameError].
func (d Dir) File(name string) (string, error) {
	if d.path == "" {
		return "", ErrNoDir
	}
	if problem := nameProblem(name); problem != "" {
		return "", &NameError{name, problem}
	}
	return filepath.Join(d.path, name), nil
}

// NameError tells why something cannot be the short name of an account.
type NameError struct {
	Name    string
	Problem string
}

func (e *NameError) Error() string {
	return fmt.Sprintf("%q cannot be the name of an account: %s", e.Name, e.Problem)
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
	case isOtherFile(name):
		return "files of that name are no accounts"
	}
	return ""
}

// isOtherFile reports whether the C tools leave a file of that name out of the accounts.
func isOtherFile(name string) bool {
	if name == "config" {
		return true
	}
	for _, suffix := range [...]string{".config", ".stats", ".log"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return strings.HasSuffix(strings.TrimRight(name, "0123456789"), ".clientconfig")
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
		if nameProblem(entry.Name()) == "" && isFile(d.path, entry) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

func isFile(dir string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.Type().IsRegular()
	}
	info, err := os.Stat(filepath.Join(dir, entry.Name()))
	return err == nil && info.Mode().IsRegular()
}
