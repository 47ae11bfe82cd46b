package account

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// setPlaces sets the variables that determine where the directory may be.
func setPlaces(t *testing.T, own, home string) {
	t.Helper()
	t.Setenv("OIDC_CONFIG_DIR", own)
	t.Setenv("HOME", home)
}

func mkdir(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindDir(t *testing.T) {
	empty, both, old := t.TempDir(), t.TempDir(), t.TempDir()
	xdg := mkdir(t, both, ".config", "oidc-agent")
	mkdir(t, both, ".oidc-agent")
	dot := mkdir(t, old, ".oidc-agent")
	own := t.TempDir()
	file := filepath.Join(own, "file")
	touch(t, file)
	tests := []struct{ name, own, home, want, err string }{
		{"own", own, both, own, ""},
		{"own without HOME", own, "", own, ""},
		{"own is missing", own + "/no", both, xdg, ""},
		{"own is a file", file, both, xdg, ""},
		{"xdg before dot", "", both, xdg, ""},
		{"dot", "", old, dot, ""},
		{"none", "", empty, "", "no configuration directory"},
		{"no HOME", "", "", "", "HOME is not set"},
		{"no HOME, own is missing", own + "/no", "", "", "looked for " + own + "/no"},
	}
	for _, test := range tests {
		setPlaces(t, test.own, test.home)
		d, err := FindDir()
		if d.Path() != test.want || (err == nil) != (test.err == "") {
			t.Errorf("%s: %q, %v, want %q", test.name, d.Path(), err, test.want)
		}
		if err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %v, want %s", test.name, err, test.err)
		}
		if test.name == "none" && !errors.Is(err, ErrNoDir) {
			t.Errorf("%v is no ErrNoDir", err)
		}
	}
}

// Not parallel: the umask belongs to the process.
func TestOpenDir(t *testing.T) {
	withConfig, without := t.TempDir(), t.TempDir()
	config := mkdir(t, withConfig, ".config")
	own := filepath.Join(t.TempDir(), "own")
	tests := []struct{ name, own, home, want string }{
		{"below .config", "", withConfig, config + "/oidc-agent"},
		{"beside", "", without, without + "/.oidc-agent"},
		{"own", own, t.TempDir(), own},
		{"own without HOME", own + "2", "", own + "2"},
		{"again", own, without, own},
	}
	for i, test := range tests {
		setPlaces(t, test.own, test.home)
		old := syscall.Umask([]int{0, 0o777}[i%2])
		d, err := OpenDir()
		syscall.Umask(old)
		if err != nil || d.Path() != test.want {
			t.Errorf("%s: %q, %v, want %q", test.name, d.Path(), err, test.want)
			continue
		}
		if got := mode(t, d.Path()); got != 0o700 {
			t.Errorf("%s: mode %o", test.name, got)
		}
	}
	for _, home := range []string{"/nonexistent", ""} {
		setPlaces(t, "", home)
		if d, err := OpenDir(); err == nil {
			t.Errorf("HOME=%q: made %q", home, d.Path())
		}
	}
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	d := Dir{"/dir"}
	for _, name := range []string{"demo", "wlcg-2", "a.b", "a b", "ä", "config2", "x.clientconfigs", "x.log2", "~", "-x", strings.Repeat("x", 200)} {
		if got, err := d.File(name); err != nil || got != "/dir/"+name {
			t.Errorf("File(%q): %q, %v", name, got, err)
		}
	}
	refused := []string{"", ".", "..", "../x", "a/b", "/etc/passwd", "x/..", ".hidden", "config", "issuer.config",
		"x.clientconfig", "x.clientconfig2", "x.clientconfig42", "x.stats", "x.log", "a\x00b", "a\nb", "a\x7f", "a\u0085b",
		strings.Repeat("x", 201)}
	for _, name := range refused {
		got, err := d.File(name)
		if got != "" || err == nil || !strings.HasPrefix(err.Error(), strconv.Quote(name)+" cannot be the name of an account: ") {
			t.Errorf("File(%q): %q, %v", name, got, err)
		}
	}
	_, err := d.File("a/b\n")
	if want := `"a/b\n" cannot be the name of an account: it contains a slash`; err.Error() != want {
		t.Errorf("got %s, want %s", err, want)
	}
	if _, err := (Dir{}).File("demo"); !errors.Is(err, ErrNoDir) {
		t.Errorf("no directory has a file: %v", err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"zeta", "Alpha", "demo", "ä", "config", "issuer.config", "custom_parameters.config",
		"x.clientconfig", "x.clientconfig3", "oidc.stats", "agent.log", ".hidden", ".demo.lock", ".demo.new-1", "new\nline"} {
		touch(t, filepath.Join(dir, name))
	}
	mkdir(t, dir, "folder")
	for link, target := range map[string]string{"link": "demo", "dangling": "nothing", "tofolder": "folder"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Dir{dir}.List()
	if want := []string{"Alpha", "demo", "link", "zeta", "ä"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if got, err := (Dir{dir + "/no"}).List(); err == nil {
		t.Errorf("a missing directory lists %q", got)
	}
}
