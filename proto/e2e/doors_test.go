package e2e

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "oidc-agent/"

// A door says that packages in from must not import any in to, directly or
// indirectly. A trailing /... includes the packages below.
type door struct {
	from []string
	to   []string
	why  string
}

var (
	rooms = []string{"proto/...", "crypt/..."}
	light = []string{"proto/secret", "proto/cjson", "proto/ipc", "proto/cli"}
)

var doors = []door{
	{[]string{"token"}, []string{"net/http", "crypto/tls"}, "oidc-token must start fast"},
	{[]string{"token"}, []string{module + "crypt/...", module + "proto/account", module + "proto/oidc"},
		"oidc-token asks the agent for everything"},
	{light, []string{"fmt", "net", "net/http", "encoding/json", "os/exec", "regexp", "text/template",
		"golang.org/x/crypto/...", "golang.org/x/term"}, "oidc-token links it, and each package makes its start slower"},
	{[]string{"gen", "add"}, []string{module + "proto/oidc", "crypto/tls"}, "only the agent speaks to providers"},
	{rooms, []string{module + "agent/...", module + "gen/...", module + "add/...", module + "token/...", module + "fakeidp/..."},
		"shared packages do not depend on programs"},
	{[]string{"proto/oidc/..."}, []string{module + "proto/ipc/...", module + "crypt/..."}, "providers, socket and files are independent of each other"},
	{[]string{"proto/ipc/..."}, []string{module + "proto/oidc/...", module + "crypt/..."}, "providers, socket and files are independent of each other"},
	{[]string{"crypt/..."}, []string{module + "proto/oidc/...", module + "proto/ipc/..."}, "providers, socket and files are independent of each other"},
	{[]string{"fakeidp/..."}, []string{module + "agent/...", module + "gen/...", module + "add/...", module + "token/...",
		module + "proto/...", module + "crypt/..."}, "a fake that shares the client's parser cannot catch its bugs"},
}

func TestDoors(t *testing.T) {
	packages := goList(t)
	for _, d := range doors {
		for _, from := range d.from {
			if !slices.ContainsFunc(packages, func(p pkg) bool { return within(p.path, module+from) }) {
				t.Errorf("a door from %s, which has no package", from)
			}
		}
	}
	for _, v := range violations(packages) {
		t.Error(v)
	}
}

// A pkg is one of our packages with everything that it links.
type pkg struct {
	path string
	deps []string
}

func goList(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`, module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []pkg
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		packages = append(packages, pkg{f[0], f[1:]})
	}
	return packages
}

func violations(packages []pkg) (found []string) {
	for _, p := range packages {
		for _, d := range doors {
			if !slices.ContainsFunc(d.from, func(room string) bool { return within(p.path, module+room) }) {
				continue
			}
			for _, dep := range p.deps {
				// A room may always know itself.
				own := slices.ContainsFunc(d.from, func(room string) bool { return within(dep, module+room) })
				if !own && slices.ContainsFunc(d.to, func(to string) bool { return within(dep, to) }) {
					found = append(found, fmt.Sprintf("%s links %s: %s", p.path, dep, d.why))
				}
			}
		}
	}
	return found
}

// within reports whether a package matches a pattern, which may end in /...
func within(path, pattern string) bool {
	root, below := strings.CutSuffix(pattern, "/...")
	return path == root || below && strings.HasPrefix(path, root+"/")
}

// TestDoorsShut checks that the table finds violations.
func TestDoorsShut(t *testing.T) {
	for _, p := range []pkg{
		{module + "token", []string{"os", "crypto/tls"}},
		{module + "proto/ipc", []string{"fmt"}},
		{module + "proto/ipc/box", []string{module + "crypt"}},
		{module + "crypt/internal/x", []string{module + "proto/oidc"}},
		{module + "fakeidp/iam", []string{module + "proto/cjson"}},
		{module + "gen", []string{module + "proto/oidc"}},
	} {
		if got := violations([]pkg{p}); len(got) != 1 {
			t.Errorf("%v: violations %q, want one", p, got)
		}
	}
	for _, p := range []pkg{
		{module + "token", []string{"os", module + "proto/ipc", module + "proto/cli"}},
		{module + "fakeidp", []string{"net/http", module + "fakeidp/iam"}},
		{module + "agent", []string{"net/http", module + "proto/oidc", module + "crypt"}},
	} {
		if got := violations([]pkg{p}); len(got) != 0 {
			t.Errorf("%v: violations %q, want none", p, got)
		}
	}
}
