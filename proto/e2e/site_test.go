package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/e2e/user"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// A site is a user's home on several login nodes: a provider that rotates refresh tokens, the account "demo" in one
// file, and an agent on each node. It is the scene for what can happen to a refresh token on its way to the disk:
//
//	crash_test.go     the agent is killed
//	siblings_test.go  another agent uses the same account
//	disk_test.go      the disk is full, or the user changes the file
type site struct {
	*testing.T
	*provider
	script *script    // runs the programs in the site's home
	file   string     // of the account
	key    *crypt.Key // of the file; its password is in the home's file "pw"
}

const sitePassword = "correct horse"

func newSite(t *testing.T) *site {
	t.Helper()
	bin, p := binaries(t), newProvider(t)
	s, err := newScript(scriptDir(t), bin, map[string]string{"pw": sitePassword, ".config/oidc-agent/config": ""})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	s.patience = time.Minute
	key, err := crypt.NewKey(secret.FromString(sitePassword), crypt.FormatScrypt)
	if err != nil {
		t.Fatal(err)
	}
	site := &site{t, p, s, s.path(".config/oidc-agent/demo"), key}
	if err := os.Remove(s.path(".config/oidc-agent/config")); err != nil {
		t.Fatal(err)
	}
	site.login()
	return site
}

// login writes a new refresh token to the account file.
func (s *site) login() {
	s.Helper()
	s.write(s.newLogin())
}

// write writes the account file with a refresh token.
func (s *site) write(refreshToken string) {
	s.Helper()
	config := cjson.New().SetText("name", "demo").SetText("issuer_url", s.Issuer()).SetText("client_id", siteClient).
		SetText("client_secret", siteClient).SetText("refresh_token", refreshToken).SetText("what", "the user has put into it")
	data, err := s.key.Encrypt(s.Context(), config.Compact())
	if err != nil {
		s.Fatal(err)
	}
	s.restore(data)
}

// restore replaces the account file, as its user would.
func (s *site) restore(data []byte) {
	s.Helper()
	temp := s.file + "~"
	err := s.script.own(temp, os.WriteFile(temp, data, 0o600))
	if err == nil {
		err = os.Rename(temp, s.file)
	}
	if err != nil {
		s.Fatal(err)
	}
}

// read decrypts the account file, which must not be damaged.
func (s *site) read() *cjson.Object {
	s.Helper()
	data, err := account.ReadFile(s.file)
	if err != nil {
		s.Fatal(err)
	}
	text, err := s.key.Decrypt(s.Context(), data)
	if err != nil {
		s.Fatalf("%d bytes: %v", len(data), err)
	}
	config, err := cjson.Parse(text.Reveal())
	if err != nil || config.Text("what") != "the user has put into it" {
		s.Fatalf("the file holds %q, %v", text.Reveal(), err)
	}
	return config
}

// saved returns the refresh token in the account file.
func (s *site) saved() string {
	s.Helper()
	return s.read().Text("refresh_token")
}

// A node is an agent in the foreground, a child of the test, which so notices when it has ended.
type node struct {
	*site
	cmd    *exec.Cmd
	socket string
	log    string // path
}

// boot starts an agent without accounts.
func (s *site) boot(name string) *node {
	s.Helper()
	n := &node{site: s, socket: filepath.Join(s.script.env["TMPDIR"], name), log: filepath.Join(s.script.dir, name+".log")}
	n.cmd = exec.Command(filepath.Join(s.script.bin, "oidc-agent"), "--console", "--no-autoload", "--socket-path="+n.socket)
	n.cmd.Dir, n.cmd.Env = s.script.env["HOME"], s.script.environ()
	if os.Getuid() == 0 {
		n.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user.Ordinary, Gid: user.Ordinary}}
	}
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.Fatal(err)
	}
	defer log.Close()
	n.cmd.Stderr = log
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); !strings.HasPrefix(line, "OIDC_SOCK=") {
		s.Fatalf("the agent says %q, %v", line, err)
	}
	s.Cleanup(n.kill)
	return n
}

// kill kills the agent and waits for its end. A second call does nothing.
func (n *node) kill() {
	n.cmd.Process.Kill()
	n.cmd.Wait()
}

// ask sends a request and returns the answer. A failure in the answer is an error too.
func (n *node) ask(request *cjson.Object) (*cjson.Object, error) {
	answer, err := ipc.Call(n.socket, request, patience)
	if err == nil {
		err = ipc.Check(answer)
	}
	return answer, err
}

func (n *node) must(request *cjson.Object) *cjson.Object {
	n.Helper()
	answer, err := n.ask(request)
	if err != nil {
		log, _ := os.ReadFile(n.log)
		n.Fatalf("%s: %v\n--- log\n%s", request.Text(ipc.KeyRequest), err, log)
	}
	return answer
}

// load loads the account as oidc-add does, but without deriving a key, which would take a second.
func (n *node) load() {
	n.Helper()
	n.must(ipc.Request(ipc.RequestAdd).SetObject(ipc.KeyConfig, n.read()).
		SetObject(ipc.KeyFileKey, cjson.New().SetText(ipc.KeyFile, n.file).SetSecret(ipc.KeyKey, n.key.Marshal())))
}

// add loads the account with oidc-add.
func (n *node) add() {
	n.Helper()
	n.program("oidc-add --pw-file=pw demo")
}

// program runs one of the user's programs with the agent.
func (n *node) program(line string) user.Result {
	n.Helper()
	n.script.env["OIDC_SOCK"] = n.socket
	if err := n.script.line(line); err != nil {
		log, _ := os.ReadFile(n.log)
		n.Fatalf("%s: %v\n%s\n--- log\n%s", line, err, n.script.shown(), log)
	}
	return n.script.last
}

// forced requests a new access token, for which the refresh token is used and replaced.
func forced() *cjson.Object {
	return ipc.Request(ipc.RequestAccessToken).SetText(ipc.KeyAccount, "demo").SetInt(ipc.KeyMinValidPeriod, -1)
}

// refresh gets a new access token, which must be valid.
func (n *node) refresh() *cjson.Object {
	n.Helper()
	answer := n.must(forced())
	if !n.accepts(answer.Text(ipc.KeyAccessToken)) {
		n.Fatalf("the provider does not know the access token in %s", answer.Compact())
	}
	return answer
}

// temps returns the temporary files beside the account file.
func (s *site) temps() (names []string) {
	entries, err := os.ReadDir(filepath.Dir(s.file))
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); name != "demo" && name != ".demo.lock" && !strings.HasSuffix(name, "issuer.config") && !strings.HasSuffix(name, "issuer.config.lock") {
			names = append(names, name)
		}
	}
	return names
}
