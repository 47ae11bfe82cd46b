package release

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// sysroot makes a root directory with a shell for the scripts of packages, but without libraries.
func sysroot(t *testing.T, folders ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, folder := range append(folders, "bin", "usr/bin") {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "cp", "/bin/busybox", filepath.Join(root, "bin"))
	for _, name := range []string{"sh", "cat", "kill", "rm", "test"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// outside removes the package managers' own files below /var from a list.
func outside(all map[string]string) map[string]string {
	maps.DeleteFunc(all, func(name, _ string) bool { return strings.HasPrefix(name, "var/") })
	return all
}

// Our package replaces Debian's package of the C programs, with one that depends on it, and its removal leaves nothing
// behind.
func TestDebianPackage(t *testing.T) {
	t.Parallel()
	root, cache := sysroot(t, "var/lib/dpkg/updates", "var/lib/dpkg/info", "var/log"), t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	before := outside(files(t, root))
	run(t, "sh", "-ec", `cd "$0"; apt-get -o APT::Sandbox::User=root download oidc-agent-cli oidc-agent-desktop`, cache)
	debs, _ := filepath.Glob(filepath.Join(cache, "*.deb"))
	run(t, "dpkg", append([]string{"--root=" + root, "--force-depends", "--install"}, debs...)...)

	run(t, "dpkg", "--root="+root, "--install", dist("oidc-agent-go_"+version+"_"+runtime.GOARCH+".deb"))
	if got := run(t, "chroot", root, "/usr/bin/oidc-token", "--version"); !strings.Contains(got, version) {
		t.Errorf("the program says %q", got)
	}
	if got := run(t, "dpkg", "--root="+root, "--verify", "oidc-agent-go"); got != "" {
		t.Errorf("dpkg --verify: %s", got)
	}
	for name, want := range map[string]string{"oidc-agent-go": "installed", "oidc-agent-desktop": "installed",
		"oidc-agent-cli": "config-files"} {
		if got := run(t, "dpkg-query", "--admindir="+root+"/var/lib/dpkg", "-Wf${db:Status-Status}", name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	run(t, "dpkg", "--root="+root, "--purge", "oidc-agent-desktop", "oidc-agent-cli", "oidc-agent-go")
	if after := outside(files(t, root)); !maps.Equal(before, after) {
		t.Errorf("left behind: %v, before: %v", after, before)
	}
}

// Debian has no rpm of the C programs: a package with their name and one of their files is a stand-in.
func TestRPM(t *testing.T) {
	t.Parallel()
	root, top := sysroot(t, "var/lib/rpm"), t.TempDir()
	spec := filepath.Join(top, "spec")
	if err := os.WriteFile(spec, []byte(`Name: oidc-agent-cli
Version: 5.3.3
Release: 1
Summary: stands for the C programs
License: MIT
BuildArch: noarch
%description
A file.
%install
mkdir -p %{buildroot}/usr/bin
echo of C >%{buildroot}/usr/bin/oidc-agent
echo of C >%{buildroot}/usr/bin/oidc-keychain-of-c
%files
/usr/bin/*
`), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+top, "--define", "_rpmdir "+top, "--define", "_rpmfilename c.rpm", spec)
	rpm := func(args ...string) string {
		return run(t, "rpm", append([]string{"--root", root, "--dbpath", "/var/lib/rpm"}, args...)...)
	}
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	rpm("--initdb")
	before := outside(files(t, root))
	rpm("--install", filepath.Join(top, "c.rpm"))

	rpm("--upgrade", dist("oidc-agent-go-"+version+"-1."+arch+".rpm"))
	if got := rpm("--query", "--all", "--queryformat", "%{NAME} "); got != "oidc-agent-go " {
		t.Errorf("installed: %q", got)
	}
	if got := run(t, "chroot", root, "/usr/bin/oidc-token", "--version"); !strings.Contains(got, version) {
		t.Errorf("the program says %q", got)
	}
	rpm("--verify", "oidc-agent-go")
	rpm("--erase", "oidc-agent-go")
	if after := outside(files(t, root)); !maps.Equal(before, after) {
		t.Errorf("left behind: %v, before: %v", after, before)
	}
}

// The packages for other machines have the same files.
func TestOtherMachine(t *testing.T) {
	t.Parallel()
	names := func(listing string) (names string) {
		for line := range strings.Lines(listing) {
			names += line[strings.Index(line, " ./")+1:]
		}
		return names
	}
	amd, arm := dist("oidc-agent-go_"+version+"_amd64.deb"), dist("oidc-agent-go_"+version+"_arm64.deb")
	if a, b := names(run(t, "dpkg-deb", "-c", amd)), names(run(t, "dpkg-deb", "-c", arm)); a != b {
		t.Errorf("amd64:\n%s\narm64:\n%s", a, b)
	}
	if got := run(t, "dpkg-deb", "-f", arm, "Architecture"); got != "arm64\n" {
		t.Errorf("the package for arm64 is for %s", got)
	}
	amd, arm = dist("oidc-agent-go-"+version+"-1.x86_64.rpm"), dist("oidc-agent-go-"+version+"-1.aarch64.rpm")
	if a, b := run(t, "rpm", "-qpl", amd), run(t, "rpm", "-qpl", arm); a != b {
		t.Errorf("x86_64:\n%s\naarch64:\n%s", a, b)
	}
	if got := run(t, "rpm", "-qp", "--queryformat", "%{ARCH}", arm); got != "aarch64" {
		t.Errorf("the package for aarch64 is for %s", got)
	}
}
