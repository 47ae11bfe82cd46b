package account

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func environment(vars map[string]string) func(string) string {
	return func(key string) string { return vars[key] }
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
	t.Parallel()
	empty, both, old := t.TempDir(), t.TempDir(), t.TempDir()
	xdg := mkdir(t, both, ".config", "oidc-agent")
	mkdir(t, both, ".oidc-agent")
	dot := mkdir(t, old, ".oidc-agent")
	own := t.TempDir()
	file := filepath.Join(own, "file")
	touch(t, file)
	tests := []struct {
		name string
		env  map[string]string
		want string
		err  string
	}{
		{"own", map[string]string{"OIDC_CONFIG_DIR": own, "HOME": both}, own, ""},
		{"own without HOME", map[string]string{"OIDC_CONFIG_DIR": own}, own, ""},
		{"own is missing", map[string]string{"OIDC_CONFIG_DIR": own + "/no", "HOME": both}, xdg, ""},
		{"own is a file", map[string]string{"OIDC_CONFIG_DIR": file, "HOME": both}, xdg, ""},
		{"xdg before dot", map[string]string{"HOME": both}, xdg, ""},
		{"dot", map[string]string{"HOME": old}, dot, ""},
		{"none", map[string]string{"HOME": empty}, "", "no configuration directory"},
		{"no HOME", nil, "", "HOME is not set"},
		{"no HOME, own is missing", map[string]string{"OIDC_CONFIG_DIR": own + "/no"}, "", "looked for " + own + "/no"},
	}
	for _, test := range tests {
		d, err := findDir(environment(test.env))
		if d.Path() != test.want || (err == nil) != (test.err == "") {
			t.Errorf("%s: %q, %v, want %q", test.name, d.Path(), err, test.want)
		}
		if err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %v, want %s", test.name, err, test.err)
		}
	}
	if _, err := findDir(environment(map[string]string{"HOME": empty})); !errors.Is(err, ErrNoDir) {
		t.Errorf("%v is no ErrNoDir", err)
	}
}

// Not parallel: the umask belongs to the process.
func TestOpenDir(t *testing.T) {
	withConfig, without := t.TempDir(), t.TempDir()
	config := mkdir(t, withConfig, ".config")
	own := filepath.Join(t.TempDir(), "own")
	tests := []struct {
		name string
		env  map[string]string
		want string
	}{
		{"below .config", map[string]string{"HOME": withConfig}, config + "/oidc-agent"},
		{"beside", map[string]string{"HOME": without}, without + "/.oidc-agent"},
		{"own", map[string]string{"OIDC_CONFIG_DIR": own, "HOME": t.TempDir()}, own},
		{"own without HOME", map[string]string{"OIDC_CONFIG_DIR": own + "2"}, own + "2"},
		{"again", map[string]string{"OIDC_CONFIG_DIR": own, "HOME": without}, own},
	}
	for i, test := range tests {
		old := syscall.Umask([]int{0, 0o777}[i%2])
		d, err := openDir(environment(test.env))
		syscall.Umask(old)
		if err != nil || d.Path() != test.want {
			t.Errorf("%s: %q, %v, want %q", test.name, d.Path(), err, test.want)
			continue
		}
		if got := mode(t, d.Path()); got != 0o700 {
			t.Errorf("%s: mode %o", test.name, got)
		}
	}
	if d, err := openDir(environment(map[string]string{"HOME": "/nonexistent"})); err == nil {
		t.Errorf("made %q", d.Path())
	}
	if d, err := openDir(environment(nil)); err == nil {
		t.Errorf("made %q without HOME", d.Path())
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
		var problem *NameError
		if got != "" || !errors.As(err, &problem) || problem.Name != name {
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
