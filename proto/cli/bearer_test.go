package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"oidc-agent/proto/secret"
)

// Not parallel: the path comes from the environment.
func TestDefaultBearerFile(t *testing.T) {
	for runtime, dir := range map[string]string{"/run/user/1": "/run/user/1", "": "/tmp"} {
		t.Setenv("XDG_RUNTIME_DIR", runtime)
		if got, want := DefaultBearerFile(), dir+"/bt_u"+strconv.Itoa(os.Geteuid()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWriteBearerFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	left := filepath.Join(filepath.Dir(path), ".token."+strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(left, []byte("left by a process that was killed"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "2"} {
		if err := WriteBearerFile(path, secret.FromString(text)); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || string(data) != text+"\n" || info.Mode() != 0o600 {
			t.Errorf("%q, %v, %v, %v", data, info.Mode(), err, statErr)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// A reader sees a whole token at any time.
func TestWriteBearerFileIsAtomic(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	tokens := [...]string{strings.Repeat("a", 10000), strings.Repeat("b", 20000)}
	if err := WriteBearerFile(path, secret.FromString(tokens[0])); err != nil {
		t.Fatal(err)
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range 300 {
			if err := WriteBearerFile(path, secret.FromString(tokens[i%2])); err != nil {
				t.Error(err)
			}
		}
	})
	for range 3000 {
		data, err := os.ReadFile(path)
		if token := strings.TrimSuffix(string(data), "\n"); err != nil || token != tokens[0] && token != tokens[1] {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
	}
	writer.Wait()
}

// What is not a token may be another secret: nothing of it is kept.
func TestReadBearerFileWipes(t *testing.T) {
	t.Parallel()
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.WriteFile("text", []byte("two words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if token, err := readBearerFile(dir, "text", os.Geteuid()); err != errNoToken || !token.IsEmpty() {
		t.Errorf("got %q, %v", token.Reveal(), err)
	}
}

func TestWriteBearerFileRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(
		os.WriteFile(at("mine"), []byte("old"), 0o600),
		os.WriteFile(at("text"), []byte("two words\n"), 0o600),
		os.WriteFile(at("large"), []byte(strings.Repeat("a", maxBearerFile+1)), 0o600),
		os.Symlink("mine", at("link")), os.Symlink("nowhere", at("dangling")),
		os.Mkdir(at("shared"), 0o700), os.Chmod(at("shared"), 0o770),
		os.Mkdir(at("sticky"), 0o700), os.Chmod(at("sticky"), 0o777|fs.ModeSticky),
		os.WriteFile(at("sticky/theirs"), []byte("old"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	me, another := os.Geteuid(), os.Geteuid()+1
	for _, c := range []struct {
		path   string
		user   int
		reason string
	}{
		{at("link"), me, "it is a symbolic link"},
		{at("dangling"), me, "it is a symbolic link"},
		{at("text"), me, errNoToken.Error()},
		{at("large"), me, errNoToken.Error()},
		{at("shared"), me, "it is not a regular file"},
		{"/dev/null", 0, "it is not a regular file"},
		{at("shared/token"), me, "others may write to the directory: chmod go-w it, or choose another one"},
		{at("sticky/theirs"), another, "it belongs to another user"},
		{at("nosuch/token"), me, "no such file or directory"},
		{at("mine/token"), me, "not a directory"},
		{dir + "/", me, "the name of a file is expected"},
		{dir + "/.", me, "the name of a file is expected"},
		{dir + "/..", me, "the name of a file is expected"},
		{"", me, "the name of a file is expected"},
	} {
		if err := writeBearerFile(c.path, secret.FromString("new"), c.user); err == nil || err.Error() != reason(c.path, c.reason) {
			t.Errorf("%v, want %s", err, reason(c.path, c.reason))
		}
	}
	if data, err := os.ReadFile(at("mine")); err != nil || string(data) != "old" {
		t.Errorf("the file behind the link: %q, %v", data, err)
	}
	// Directories of another user, who is not root. In a sticky one the owner may replace files, too.
	err = os.Mkdir(at("theirs"), 0o700)
	if me == 0 {
		err = errors.Join(err, os.Chown(at("theirs"), 1, -1), os.Chown(at("sticky"), 1, -1))
	} else {
		me = another
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{at("theirs/token"), at("sticky/token")} {
		err := writeBearerFile(path, secret.FromString("new"), me)
		if err == nil || err.Error() != reason(path, "the directory belongs to another user") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if me == 0 { // as in a container, where the owner of /tmp has no number
		err := os.Chown(at("sticky"), unmapped, -1)
		if err == nil {
			err = writeBearerFile(at("sticky/token"), secret.FromString("new"), me)
		}
		if err != nil {
			t.Errorf("a directory whose owner is not mapped: %v", err)
		}
	}
	root, err := os.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := checkDirectory(root, another); err != nil {
		t.Errorf("root's directory: %v", err)
	}
}

func reason(path, text string) string { return "token file " + strconv.Quote(path) + ": " + text }

func TestRemoveBearerFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.Symlink("token", at("link")), WriteBearerFile(at("token"), secret.FromString("eyJ.a-Z_~+/=9"))); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, token string
		gone        bool
	}{
		{"token", "another", false},
		{"link", "eyJ.a-Z_~+/=9", false},
		{"token", "eyJ.a-Z_~+/=9", true},
		{"token", "eyJ.a-Z_~+/=9", true},
		{"nosuch/token", "", true},
	} {
		RemoveBearerFile(at(c.name), secret.FromString(c.token).Equal)
		if _, gone := os.Lstat(at(c.name)); errors.Is(gone, fs.ErrNotExist) != c.gone {
			t.Errorf("%+v: %v", c, gone)
		}
	}
}
