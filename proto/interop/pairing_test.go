package interop

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/e2e/user"
)

// Pairings: our clients with the C agent and C clients with our agent, on one machine.
//
//	pairing_replay_test.go   C clients on our agent, as recorded
//	pairing_cclients_test.go the same, what no recording has: terminals, new accounts
//	pairing_library_test.go  a C program with liboidc-agent on our agent
//	pairing_socket_test.go   raw messages on our agent's socket
//	pairing_cagent_test.go   our clients on the C agent
//	pairing_files_test.go    account files that go to and fro
//	pairing_gpg_test.go      the same, with gpg

// The C programs, from Debian's oidc-agent-cli.
const (
	cVersion = "4.2.6"
	cAgent   = "/usr/bin/oidc-agent"
	cGen     = "/usr/bin/oidc-gen"
	cAdd     = "/usr/bin/oidc-add"
	cToken   = "/usr/bin/oidc-token"
)

const (
	pairedScope = "openid profile offline_access storage.read:/"
	otherScope  = "storage.read:/" // part of the scope
	denied      = "phone"          // not part of the scope
	filePw      = "secret123"
)

// sideBySide runs several tests at once, because they mostly wait for the next poll.
// t.Parallel would run only as many as there are processors.
func sideBySide(t *testing.T, tests map[string]func(*testing.T)) {
	t.Helper()
	names := make(chan string)
	var running sync.WaitGroup
	for range atOnce {
		running.Go(func() {
			for name := range names {
				t.Run(name, tests[name])
			}
		})
	}
	for name := range tests {
		names <- name
	}
	close(names)
	running.Wait()
}

// A pair is a home with a provider that approves everything, and a password in the
// file pw. The test chooses the programs.
type pair struct {
	*home
	idp *iam.Server
	pw  string // an absolute path: the C agent's working directory is /
}

func newPair(t *testing.T, settings ...func(*iam.Settings)) *pair {
	t.Helper()
	config := iam.Config{Settings: iam.Settings{AutoApprove: true, DeviceInterval: time.Second}}
	for _, set := range settings {
		set(&config.Settings)
	}
	idp, err := iam.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { idp.Close() })
	idp.Ready()
	p := &pair{newHome(t), idp, ""}
	p.env["SHELL"], p.env["LC_ALL"] = "/bin/sh", "C"
	p.pw = p.write("pw", filePw+"\n")
	if v := p.run(cToken, "--version"); v != "oidc-token "+cVersion {
		t.Fatalf("the C programs are %q, want %s", v, cVersion)
	}
	return p
}

func rotating(s *iam.Settings) { s.Rotate = true }

// write makes a file in the home that belongs to the user.
func (p *pair) write(name, content string) (path string) {
	p.t.Helper()
	path = filepath.Join(p.dir, name)
	err := os.WriteFile(path, []byte(content), 0o600)
	if err == nil && os.Getuid() == 0 {
		err = os.Chown(path, user.Ordinary, user.Ordinary)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return path
}

// file returns the path of an account file.
func (p *pair) file(name string) string {
	return filepath.Join(p.dir, ".config", "oidc-agent", name)
}

func (p *pair) read(path string) string {
	p.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// startAgent starts our agent with options.
func (p *pair) startAgent(options ...string) {
	p.t.Helper()
	p.start(append([]string{"oidc-agent"}, options...)...)
}

// start does what eval $(oidc-agent) does in a shell.
func (p *pair) start(args ...string) {
	p.t.Helper()
	for _, m := range assignment.FindAllStringSubmatch(p.run(args...), -1) {
		p.env[m[1]] = m[2]
	}
}

// startCAgent starts the C agent, which prints its address before it listens there,
// and stops it later: if it is killed it leaves its socket behind.
func (p *pair) startCAgent(options ...string) {
	p.t.Helper()
	p.start(append([]string{cAgent}, options...)...)
	p.t.Cleanup(p.stopCAgent)
	p.eventually("the C agent answers", func() bool {
		r, err := p.try(user.Program{Args: []string{cAdd, "-a"}})
		return err == nil && r.Code == 0
	})
}

func (p *pair) stopCAgent() {
	if p.env["OIDCD_PID"] == "" {
		return
	}
	if r, err := p.try(user.Program{Args: []string{cAgent, "-k"}}); err != nil || r.Code != 0 {
		p.t.Errorf("the C agent's -k: %v %s", err, r.Stderr)
	}
	delete(p.env, "OIDCD_PID")
}

// generate makes an account with our oidc-gen or C's.
func (p *pair) generate(gen, name string, options ...string) string {
	p.t.Helper()
	return p.run(append([]string{gen, "-w", "device", "--issuer=" + p.idp.Issuer(), "--scope=" + pairedScope,
		"--pw-file=" + p.pw, "--prompt=none", "--no-url-call", name}, options...)...)
}

// printed returns an account as our oidc-gen -p or C's prints it.
func (p *pair) printed(gen, name string) map[string]any {
	p.t.Helper()
	var config map[string]any
	if err := json.Unmarshal([]byte(p.run(gen, "-p", name, "--pw-file="+p.pw)), &config); err != nil {
		p.t.Fatal(err)
	}
	return config
}

// fails runs a program that must fail and returns its stderr.
func (p *pair) fails(args ...string) string {
	p.t.Helper()
	r, err := p.try(user.Program{Args: args})
	if err != nil || r.Code == 0 {
		p.t.Errorf("%q: %v, exit %d: must fail\n%s", args, err, r.Code, r.Stdout)
	}
	return r.Stderr
}

// expect runs a program that must succeed, with output that matches as a whole.
func (p *pair) expect(want string, args ...string) {
	p.t.Helper()
	if got := p.run(args...); !regexp.MustCompile(`^(?:` + want + `)$`).MatchString(got) {
		p.t.Errorf("%q prints\n%s\nwant\n%s", args, got, want)
	}
}

// typing runs a program on a terminal and types one answer, without echo, at each
// prompt that matches.
func (p *pair) typing(prompt string, answers []string, args ...string) user.Result {
	p.t.Helper()
	r, err := p.try(user.Program{Args: args, Terminal: user.Everywhere, User: func(ctx context.Context, s *user.Session) error {
		for _, answer := range answers {
			if err := s.Expect(ctx, regexp.MustCompile(prompt)); err != nil {
				return err
			}
			if err := s.TypeHidden(ctx, answer+"\n"); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		p.t.Errorf("%q: %v\n%s", args, err, r.Terminal)
	}
	for _, answer := range answers {
		if strings.Contains(r.Terminal, answer) {
			p.t.Errorf("%q shows the password:\n%s", args, r.Terminal)
		}
	}
	return r
}

// eventually polls until a condition holds.
func (p *pair) eventually(what string, is func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("it never happens: %s", what)
		}
	}
}

// checkJob gets a token from the cache, a new one, one with fewer scopes, and an error
// for a scope that was not granted. token is our oidc-token or C's.
func (p *pair) checkJob(token, name string) {
	p.t.Helper()
	cached := p.run(token, name)
	if again := p.run(token, name); again != cached || strings.Count(cached, ".") != 2 {
		p.t.Errorf("%s: two calls gave %q and %q", token, cached, again)
	}
	if p.run(token, "-f", name) == cached {
		p.t.Errorf("%s -f gives the old token", token)
	}
	if less := p.run(token, "-s", otherScope, name); claim(p.t, less, "scope") != otherScope {
		p.t.Errorf("%s -s %s gives %v", token, otherScope, claim(p.t, less, "scope"))
	}
	if text := p.fails(token, "-s", denied, name); !strings.Contains(text, "invalid_scope") {
		p.t.Errorf("%s -s %s: %s", token, denied, text)
	}
}

// claim returns a claim of an access token.
func claim(t *testing.T, token, name string) any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", token)
	}
	var claims map[string]any
	decodePart(t, parts[1], &claims)
	return claims[name]
}
