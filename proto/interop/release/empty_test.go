package release

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// enter makes the root read-only, mounts the writable folder, and runs the job as a user without a passwd entry.
// fakeidp runs on the left side of a pipe, because & needs /dev/null.
const enter = `root=$0
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=0700,uid=12345 tmpfs "$root/w"
busybox ip link set lo up
exec env -i PATH=/bin TMPDIR=/w OIDC_CONFIG_DIR=/w/config "$(command -v chroot)" --userspec=12345:12345 "$root" /bin/sh -c '
	sh -c "echo \$\$ >/w/pid; exec fakeidp --tls --ca-out=/w/ca.pem --auto-approve --device-interval=1s 2>/w/log" | sh /job.sh'
`

// The job prints a line, the output and the exit code of each step.
const begin = `read -r issuer
export OIDC_ENCRYPTION_PW=hunter2
gen="oidc-gen -w device --prompt=none --pw-env --issuer=$issuer"
`

const jwt = `eyJ[\w-]+\.[\w-]+\.[\w-]+`

// steps is the job. The output of a step and its exit code must match its pattern.
var steps = []struct{ command, want string }{
	{`eval "$(oidc-agent)"`, `Agent pid \d+\n0`},
	{`oidc-add demo`, `Error: no configuration directory: looked for /w/config(\n.*)*\n1`},
	{`$gen --scope=openid demo`, `Error: .*unknown authority: "CN=fakeidp test CA".*--cp.*SSL_CERT_FILE(.|\n)*\n1`},
	{`$gen --scope=openid --cp=/w/none demo`, `Error: .* /w/none: no such file or directory\n1`},
	{`$gen --scope="openid offline_access" --cp=/w/ca.pem demo`, `(.|\n)*Everything setup correctly!\n0`},
	{`oidc-token demo`, jwt + `\n0`},
	{`oidc-add -r demo`, `success\n0`},
	{`oidc-add --pw-env demo`, `success\n0`},
	{`oidc-add --pw-cmd='echo hunter2' -r demo`, `success\n0`},
	{`oidc-add --pw-cmd='echo hunter2' demo`, `success\n0`},
	{`oidc-token -f demo`, jwt + `\n0`},
	{`oidc-add -l`, `demo\n0`},
	{`oidc-gen -p demo`, `Error: /w/config/demo: a password is needed, and there is no terminal to ask on\nGive .*--pw-env\.\n1`},
	{`oidc-token nosuch`, `Error: No account configured with that short name\n.*oidc-add -l.*\n1`},
	{`oidc-token --outfile demo`, `Error: token file "/tmp/bt_u12345": no such file or directory(\n.*)*\n1`},
	{`oidc-token --outfile=/w/bearer demo && cat /w/bearer`, jwt + `\n?0`},
	{`unset OIDC_CONFIG_DIR; oidc-add demo2`, `Error: .*HOME is not set, nor is OIDC_CONFIG_DIR\n1`},
	{`export OIDC_CONFIG_DIR=/config; $gen --cp=/w/ca.pem other`, `Error: .*mkdir /config: read-only file system\n1`},
	{`unset TMPDIR; oidc-agent`, `Error: directory for the socket: mkdir /tmp/oidc-\w+: no such file or directory\nSet TMPDIR.*\n1`},
	{`oidc-agent -- oidc-token demo`, `Error: account not loaded\n.*oidc-add demo.*\n1`},
	{`oidc-agent --console | { read -r a; eval "$a"; read -r b; eval "$b"; oidc-add --pw-env demo; oidc-token demo; oidc-agent -k; }`,
		`success\n` + jwt + `\nunset OIDC_SOCK;\nunset OIDCD_PID;\necho Agent pid \d+ killed;\n0`},
	{`eval "$(oidc-agent -k)"`, `Agent pid \d+ killed\n0`},
	{`export SSL_CERT_FILE=/w/ca.pem; eval "$(oidc-agent --quiet)"; $gen --scope=openid trusting && oidc-token trusting; oidc-agent -k`,
		`(.|\n)*Everything setup correctly!\n` + jwt + `\n(.*\n){3}0`},
	{`ls /w`, `bearer\nca.pem\nconfig\nlog\npid\n0`},
}

// A root with only our programs and a shell: no /etc/passwd, /dev, /proc, CA bundle or HOME, and one writable folder.
func TestEmptyRoot(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	run(t, "cp", "-R", filepath.Join(unpack(t, "linux-"+runtime.GOARCH), "bin"), root)
	run(t, "cp", "/bin/busybox", filepath.Join(root, "bin"))
	for _, name := range []string{"sh", "cat", "kill", "ls"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	job := begin
	for i, step := range steps {
		form := "( %s ) 2>&1" // in a subshell, with its own variables
		if strings.HasPrefix(step.command, "eval") {
			form = "{ %s; } 2>&1"
		}
		job += fmt.Sprintf("echo @%d@; "+form+"; echo $?\n", i, step.command)
	}
	job += "echo @end; kill \"$(cat /w/pid)\"\n"
	if err := os.WriteFile(filepath.Join(root, "job.sh"), []byte(job), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "w"), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "chmod", "-R", "a+rX", filepath.Dir(root))
	out, err := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-ec", enter, root).CombinedOutput()
	rest, _, ended := strings.Cut(string(out), "@end\n")
	if !ended {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, step := range steps {
		_, got, _ := strings.Cut(rest, fmt.Sprintf("@%d@\n", i))
		got, _, _ = strings.Cut(got, fmt.Sprintf("@%d@\n", i+1))
		if !regexp.MustCompile(`^` + step.want + `\n$`).MatchString(got) {
			t.Errorf("%s\nsays  %s\nwanted %s", step.command, got, step.want)
		}
	}
}
