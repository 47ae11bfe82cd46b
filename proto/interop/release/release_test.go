// Package release builds the release twice and tests the results: archives, packages, and a run in an empty root.
package release

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const version = "1.2.3"

// places: the first release is built from a git checkout, the second from the source archive of the first.
var first, second string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		work, err := os.MkdirTemp("", "release")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(work)
		first, second = filepath.Join(work, "first"), filepath.Join(work, "elsewhere", "second")
		if out, err := makeFirst(); err != nil {
			fmt.Fprintf(os.Stderr, "making a release: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// makeFirst copies the tree to a new git repository with a tag, and builds the release there.
func makeFirst() ([]byte, error) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		return nil, err
	}
	return exec.Command("sh", "-euc", `mkdir "$1"
		(cd "$0"; find . \( -path ./.git -o -path ./bin -o -path ./dist -o -name node_modules \) -prune -o -type f -print |
			tar -cf - -T -) | tar -C "$1" -xf -
		cd "$1"
		git init -q
		git add -A
		export GIT_AUTHOR_DATE='1700000000 +0100' GIT_COMMITTER_DATE='1700000000 +0100'
		git -c user.name=x -c user.email=x@localhost commit -qm x
		git tag v"$2"
		touch junk.test
		unset SOURCE_DATE_EPOCH
		./build.sh release`, root, first, version).CombinedOutput()
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func dist(name string) string { return filepath.Join(first, "dist", name) }

// unpack unpacks an archive of the release, which has one folder of its name.
func unpack(t *testing.T, what string) string {
	t.Helper()
	dir, name := t.TempDir(), "oidc-agent-"+version+"-"+what
	run(t, "tar", "-C", dir, "-xzf", dist(name+".tar.gz"))
	return filepath.Join(dir, strings.TrimSuffix(name, "-src"))
}

// The release has the same bytes without a network, without module and build caches, in another directory, and with
// other times of the source files.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	cmd := exec.Command("unshare", "--net", "sh", "-euc", `mkdir -p "$0"; tar -C "$0" --strip-components=1 -xzf "$1"
		cd "$0"; ./build.sh release`, second, dist("oidc-agent-"+version+"-src.tar.gz"))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "GOPROXY=off", "LANG=de_DE.UTF-8",
		"TZ=Asia/Tokyo", "TARGETS=linux/amd64 linux/arm64"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() { run(t, "chmod", "-R", "u+w", home) }) // Go's module cache is read-only
	made, err := os.ReadDir(filepath.Join(second, "dist"))
	if err != nil || len(made) != 9 {
		t.Errorf("%d files, %v; want 3 archives, 4 packages, sums and SBOM", len(made), err)
	}
	for _, file := range made {
		ours, err1 := os.ReadFile(filepath.Join(second, "dist", file.Name()))
		theirs, err2 := os.ReadFile(dist(file.Name()))
		switch {
		case err1 != nil || err2 != nil:
			t.Errorf("%s: %v", file.Name(), errors.Join(err1, err2))
		case file.Name() == "SHA256SUMS":
			for line := range bytes.Lines(ours) {
				if !bytes.Contains(theirs, line) {
					t.Errorf("only in the second release: %s", line)
				}
			}
		case !bytes.Equal(ours, theirs):
			t.Errorf("%s differs", file.Name())
		}
	}
}

func TestChecksums(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	cmd.Dir = filepath.Join(first, "dist")
	out, err := cmd.CombinedOutput()
	files, _ := os.ReadDir(cmd.Dir)
	if ok := bytes.Count(out, []byte(": OK\n")); err != nil || ok != len(files)-1 {
		t.Errorf("%d of %d files are right: %v\n%s", ok, len(files)-1, err, out)
	}
}

var programs = []string{"fakeidp", "oidc-add", "oidc-agent", "oidc-gen", "oidc-token"}

func TestArchives(t *testing.T) {
	t.Parallel()
	targets := strings.Fields(os.Getenv("TARGETS"))
	if len(targets) == 0 {
		targets = []string{"linux/amd64", "linux/arm64", "linux/ppc64le", "linux/riscv64", "darwin/amd64", "darwin/arm64"}
	}
	for _, target := range targets {
		os, arch, _ := strings.Cut(target, "/")
		dir := unpack(t, os+"-"+arch)
		for _, program := range programs {
			if err := machine(filepath.Join(dir, "bin", program), os, arch); err != nil {
				t.Errorf("%s for %s: %v", program, target, err)
			}
		}
		have := files(t, dir)
		for _, file := range extras(os) {
			if _, ok := have[file]; !ok {
				t.Errorf("%s is not in the archive for %s", file, target)
			}
		}
	}
}

// extras returns the expected files besides the programs, according to the sources.
func extras(os string) []string {
	want := []string{"LICENSE", "LICENSE.modules", "README.md"}
	for pattern, to := range map[string]string{
		"*/*.1": "share/man/man1/", "proto/cli/completion/oidc.bash": "share/bash-completion/completions/",
		"proto/cli/completion/oidc.fish": "share/fish/vendor_completions.d/", "proto/cli/completion/_oidc": "share/zsh/site-functions/",
		"agent/*.service": "share/systemd/user/", "agent/*.socket": "share/systemd/user/",
	} {
		found, _ := filepath.Glob(filepath.Join(first, pattern))
		for _, file := range found {
			if os != "darwin" || !strings.Contains(to, "systemd") {
				want = append(want, to+filepath.Base(file))
			}
		}
	}
	return want
}

// machine checks that a program is for a machine, and needs no libraries except macOS's own.
func machine(path, os, arch string) error {
	if os == "darwin" {
		f, err := macho.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if want := map[string]macho.Cpu{"amd64": macho.CpuAmd64, "arm64": macho.CpuArm64}[arch]; f.Cpu != want {
			return fmt.Errorf("it is for %v", f.Cpu)
		}
		return nil
	}
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "ppc64le": elf.EM_PPC64, "riscv64": elf.EM_RISCV}[arch]
	if f.Machine != want {
		return fmt.Errorf("it is for %v", f.Machine)
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC }) {
		return errors.New("it is not static")
	}
	return nil
}

// files returns the files and links below a directory, with path, mode and size.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		found[name] = fmt.Sprint(info.Mode(), info.Size())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// component describes a part; type and name are required (CycloneDX 1.6, "components").
type component struct {
	Type, Name, Version, Purl string
	Ref                       string `json:"bom-ref"`
	Licenses                  []struct{ License struct{ ID string } }
	Hashes                    []struct{ Alg, Content string }
}

// The list of components is the one that Go reports as linked, with no fields but those of the format.
func TestSBOM(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(dist("oidc-agent-" + version + ".cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat, SpecVersion string
		Version                int
		Metadata               struct {
			Timestamp time.Time
			Component component
		}
		Components   []component
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if bom.SpecVersion != "1.6" || bom.Version != 1 || bom.Metadata.Timestamp.Unix() != 1700000000 ||
		len(bom.Dependencies) != 1 || bom.Dependencies[0].Ref != bom.Metadata.Component.Ref {
		t.Fatalf("version, time or dependencies:\n%s", text)
	}
	for _, c := range append([]component{bom.Metadata.Component}, bom.Components...) {
		if !slices.Contains([]string{"application", "library"}, c.Type) || c.Name == "" || c.Version == "" ||
			c.Ref == "" || c.Ref != c.Purl || len(c.Licenses) != 1 || c.Licenses[0].License.ID == "" {
			t.Errorf("something is missing: %+v", c)
		}
	}
	cmd := exec.Command("go", "list", "-deps", "-f", `{{with .Module}}{{if .Version}}pkg:golang/{{.}}{{end}}{{end}}`, "./...")
	cmd.Dir, cmd.Env = first, append(os.Environ(), "GOOS=linux")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(strings.ReplaceAll(strings.TrimSpace(string(out)), " v", "@v"))
	slices.Sort(want)
	want = append([]string{"pkg:golang/std@" + strings.TrimPrefix(runtime.Version(), "go")}, slices.Compact(want)...)
	var have []string
	for _, c := range bom.Components {
		have = append(have, c.Purl)
		if module := len(have) > 1; module && (len(c.Hashes) != 1 || len(c.Hashes[0].Content) != 64) {
			t.Errorf("%s: hashes %v", c.Purl, c.Hashes)
		}
	}
	if bom.BOMFormat != "CycloneDX" || !slices.Equal(have, want) || !slices.Equal(bom.Dependencies[0].DependsOn, want) {
		t.Errorf("components\n%q, want\n%q", have, want)
	}
}
