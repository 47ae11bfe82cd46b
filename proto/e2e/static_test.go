package e2e

import (
	"debug/buildinfo"
	"debug/elf"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"oidc-agent/proto/e2e/user"
)

// Everything that may be linked, or required in go.mod, besides the standard library.
var modules = []string{"golang.org/x/crypto", "golang.org/x/sys", "golang.org/x/term"}

func TestStatic(t *testing.T) {
	bin := binaries(t)
	for name := range user.Programs {
		f, err := elf.Open(filepath.Join(bin, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("%s: wants a dynamic loader", name)
			}
		}
		if libs, err := f.ImportedLibraries(); err == nil && len(libs) > 0 {
			t.Errorf("%s: needs %q", name, libs)
		}
	}
}

func TestLinkedModules(t *testing.T) {
	bin := binaries(t)
	for name := range user.Programs {
		info, err := buildinfo.ReadFile(filepath.Join(bin, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range info.Deps {
			if !slices.Contains(modules, dep.Path) || dep.Replace != nil {
				t.Errorf("%s: links module %s", name, dep.Path)
			}
		}
	}
}

func TestRequiredModules(t *testing.T) {
	text, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	required := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(?:require)?\s+(\S+) v[0-9]\S*`).FindAllStringSubmatch(string(text), -1) {
		required[m[1]] = true
	}
	if got := slices.Sorted(maps.Keys(required)); !slices.Equal(got, modules) {
		t.Errorf("go.mod requires %q, want %q", got, modules)
	}
}
