package interop

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/e2e/user"
)

// TestCClients tests what the recordings do not have: C clients with our agent on a
// terminal, with a provider that knows their audiences, with new accounts.
func TestCClients(t *testing.T) {
	sideBySide(t, map[string]func(*testing.T){
		"oidc-token":                           testCToken,
		"oidc-token --id-token and -c, asked":  testCConsent,
		"oidc-add on a terminal":               testCAddTerminal,
		"oidc-add, lock and unlock":            testCLock,
		"oidc-add -t":                          testCLifetime,
		"oidc-gen, new account":                testCGenNew,
		"oidc-gen --manual":                    testCGenManual,
		"oidc-gen --reauthenticate":            testCReauthenticate,
		"oidc-gen --update, --rename, -p, -d":  testCManage,
		"rotation, new account":                testCRotationNew,
		"rotation, --pw-file":                  testCRotation("--pw-file=%s"),
		"rotation, --pw-cmd":                   testCRotation("--pw-cmd=cat %s"),
		"rotation, --pw-store":                 testCRotation("--pw-store", "--pw-file=%s"),
		"rotation, --pw-store for a time":      testCRotation("--pw-store=600", "--pw-file=%s"),
		"rotation, without any way to the key": testCRotationLost,
	})
}

// newCPair has an account demo, made by C's oidc-gen and loaded in our agent.
func newCPair(t *testing.T, settings ...func(*iam.Settings)) *pair {
	t.Helper()
	p := newPair(t, settings...)
	p.startAgent()
	p.generate(cGen, "demo")
	return p
}

func testCToken(t *testing.T) {
	p := newCPair(t)
	p.checkJob(cToken, "demo")
	const storage = "https://storage.example.org"
	if got := claim(t, p.run(cToken, "--aud="+storage, "demo"), "aud"); got != storage {
		t.Errorf("--aud gives aud %v", got)
	}
	if got := claim(t, p.run(cToken, "--aud="+storage+" https://b.example.org", "demo"), "aud"); fmt.Sprint(got) != "["+storage+" https://b.example.org]" {
		t.Errorf("--aud with two gives aud %v", got)
	}
	p.expect(`\S+`, cToken, "--name=somebody", "demo")
	p.expect(`\S+`, cToken, "-s", "openid", "-s", "profile", "demo")
	issuer := p.idp.Issuer()
	p.expect(`\S+\n`+issuer+`\n\d{10}`, cToken, "-a", "demo")
}

// testCConsent has a consent window, which answers with the text in the file answer.
func testCConsent(t *testing.T) {
	p := newPair(t)
	p.withPrompt()
	p.startAgent()
	p.generate(cGen, "demo")
	p.run(cAdd, "-r", "demo")
	p.run(cAdd, "--confirm", "--pw-file="+p.pw, "demo")
	for _, args := range [][]string{{cToken, "demo"}, {cToken, "--id-token", "demo"}} {
		p.write("answer", "no\n")
		if text := p.fails(args...); !strings.Contains(text, "operation forbidden") {
			t.Errorf("%q, declined: %s", args, text)
		}
		p.write("answer", "yes\n")
		p.expect(`\S+\.\S+\.\S+`, args...)
	}
	p.run(cAdd, "-r", "demo")
	p.run(cAdd, "--always-allow-idtoken", "--pw-file="+p.pw, "demo")
	p.write("answer", "no\n")
	p.expect(`\S+\.\S+\.\S+`, cToken, "--id-token", "demo")
}

// withPrompt installs an oidc-prompt that answers at once without a window.
func (p *pair) withPrompt() {
	p.t.Helper()
	if err := os.Mkdir(p.dir+"/bin", 0o755); err != nil {
		p.t.Fatal(err)
	}
	path := p.write("bin/oidc-prompt", "#!/bin/sh\n[ -s "+p.dir+"/answer ] && exec cat "+p.dir+"/answer\n")
	if err := os.Chmod(path, 0o755); err != nil {
		p.t.Fatal(err)
	}
	p.env["PATH"] = p.dir + "/bin:" + p.env["PATH"]
	p.env["DISPLAY"] = ":99"
}

func testCAddTerminal(t *testing.T) {
	p := newCPair(t)
	p.run(cAdd, "-r", "demo")
	r := p.typing(`Enter decryption password`, []string{"not this", filePw}, cAdd, "demo")
	if r.Code != 0 || !strings.HasSuffix(strings.TrimSpace(r.Terminal), "success") {
		t.Errorf("exit %d\n%s", r.Code, r.Terminal)
	}
	p.expect(`(?s).*\ndemo`, cAdd, "-a")
	r = p.typing(`Enter decryption password`, []string{filePw}, cAdd, "-p", "demo")
	if r.Code != 0 || !strings.Contains(r.Terminal, p.printed(cGen, "demo")["refresh_token"].(string)) {
		t.Errorf("-p: exit %d\n%s", r.Code, r.Terminal)
	}
}

func testCLock(t *testing.T) {
	p := newCPair(t)
	prompt := `(?:Enter|Confirm) lock password`
	if r := p.typing(prompt, []string{"hush hush", "hush hush"}, cAdd, "-x"); r.Code != 0 || !strings.Contains(r.Terminal, "success") {
		t.Fatalf("-x: exit %d\n%s", r.Code, r.Terminal)
	}
	for _, args := range [][]string{{cToken, "demo"}, {cToken, p.idp.Issuer()}, {cAdd, "-a"}, {cAdd, "-r", "demo"}, {cAdd, "--pw-file=" + p.pw, "demo"}} {
		if text := p.fails(args...); !strings.Contains(text, "Agent locked") {
			t.Errorf("%q while locked: %s", args, text)
		}
	}
	if r := p.typing(prompt, []string{"nonsense"}, cAdd, "--unlock"); r.Code == 0 {
		t.Errorf("a wrong password unlocks:\n%s", r.Terminal)
	}
	if r := p.typing(prompt, []string{"hush hush"}, cAdd, "-X"); r.Code != 0 || !strings.Contains(r.Terminal, "Agent unlocked") {
		t.Errorf("-X: exit %d\n%s", r.Code, r.Terminal)
	}
	p.checkJob(cToken, "demo")
}

func testCLifetime(t *testing.T) {
	p := newCPair(t)
	r, err := p.try(user.Program{Args: []string{cAdd, "-t", "1", "--pw-file=" + p.pw, "demo"}})
	if err != nil || r.Code != 0 || !strings.Contains(r.Stdout+r.Stderr, "Lifetime set to 1 seconds") {
		t.Errorf("%v, exit %d: %s%s", err, r.Code, r.Stdout, r.Stderr)
	}
	p.eventually("the account is forgotten", func() bool {
		return strings.Contains(p.run(cAdd, "-a"), "No account configurations are currently loaded.")
	})
}

func testCGenNew(t *testing.T) {
	p := newPair(t)
	p.startAgent()
	out := p.generate(cGen, "demo")
	if !strings.HasPrefix(out, "Registering Client ...\nGenerating account configuration ...\naccepted\n") ||
		!strings.HasSuffix(out, "Everything setup correctly!") {
		t.Errorf("stdout: %s", out)
	}
	checkCFile(t, p, "demo")
	config := p.printed(cGen, "demo")
	want := map[string]any{"name": "demo", "issuer_url": p.idp.Issuer(), "scope": pairedScope, "daeSetByUser": 0.0,
		"device_authorization_endpoint": p.idp.Issuer() + "devicecode"}
	for key, value := range want {
		if config[key] != value {
			t.Errorf("%s is %v, want %v", key, config[key], value)
		}
	}
	for _, key := range []string{"client_name", "client_id", "client_secret", "refresh_token"} {
		if text, _ := config[key].(string); text == "" {
			t.Errorf("%s is %v", key, config[key])
		}
	}
	p.checkJob(cToken, "demo")
	p.expect(`(?s).*demo`, cGen, "-l")
	if text := p.fails(cGen, "-w", "device", "--issuer="+p.idp.Issuer(), "--scope=openid", "--prompt=none", "demo"); text == "" {
		t.Error("a name that exists is refused without a word")
	}
}

// checkCFile checks what a C program reads before it decrypts a file.
func checkCFile(t *testing.T, p *pair, name string) {
	t.Helper()
	lines := strings.Split(p.read(p.file(name)), "\n")
	if len(lines) != 7 || lines[3] != "24:16:16:32:1:2:67108864:2" || !strings.HasPrefix(lines[6], "Generated using version: ") {
		t.Errorf("%s is not in C's format:\n%s", name, strings.Join(lines, "\n"))
	}
}

func testCGenManual(t *testing.T) {
	p := newPair(t)
	p.startAgent()
	client := iam.Client{ClientID: "by-hand", ClientSecret: "own secret", RedirectURIs: []string{"http://localhost:4242"},
		GrantTypes: []string{"refresh_token", deviceGrant}, Scope: pairedScope}
	if err := p.idp.AddClient(client); err != nil {
		t.Fatal(err)
	}
	p.generate(cGen, "demo", "--manual", "--client-id=by-hand", "--client-secret=own secret", "--redirect-uri=http://localhost:4242")
	checkCFile(t, p, "demo")
	config := p.printed(cGen, "demo")
	if config["client_id"] != "by-hand" || config["client_secret"] != "own secret" {
		t.Errorf("client %v, secret %v", config["client_id"], config["client_secret"])
	}
	p.checkJob(cToken, "demo")
	for _, r := range p.idp.Requests() {
		if r.Path == "iam/api/client-registration" {
			t.Errorf("%s %s: nothing was to be registered", r.Method, r.Path)
		}
	}
}

func testCReauthenticate(t *testing.T) {
	p := newCPair(t)
	before := p.printed(cGen, "demo")["refresh_token"].(string)
	p.idp.Revoke(before)
	if text := p.fails(cToken, "-f", "demo"); !strings.Contains(text, "oidc-gen demo --reauthenticate") {
		t.Errorf("no help when the refresh token is revoked: %s", text)
	}
	p.run(cGen, "--reauthenticate", "-w", "device", "--pw-file="+p.pw, "--prompt=none", "--no-url-call", "demo")
	if p.printed(cGen, "demo")["refresh_token"] == before {
		t.Error("the refresh token is the old one")
	}
	checkCFile(t, p, "demo")
	p.checkJob(cToken, "demo")
}

func testCManage(t *testing.T) {
	p := newCPair(t)
	before := p.read(p.file("demo"))
	config := p.printed(cGen, "demo")
	p.expect("Updated config file format", cGen, "--update=demo", "--pw-file="+p.pw)
	if p.read(p.file("demo")) == before {
		t.Error("--update does not encrypt anew")
	}
	p.run(cGen, "--rename=other", "demo", "--pw-file="+p.pw)
	config["name"] = "other"
	for key, value := range p.printed(cGen, "other") { // C drops unknown members
		if fmt.Sprint(value) != fmt.Sprint(config[key]) {
			t.Errorf("after --rename %s is %v, want %v", key, value, config[key])
		}
	}
	p.run(cAdd, "-R")
	p.run(cAdd, "--pw-file="+p.pw, "other")
	p.checkJob(cToken, "other")
	p.expect(`(?s).*Successfully deleted account configuration\.`, cGen, "-d", "other", "--confirm-yes", "--pw-file="+p.pw)
	if _, err := os.Stat(p.file("other")); !os.IsNotExist(err) {
		t.Errorf("the file after -d: %v", err)
	}
	checkRevoked(t, p, config["refresh_token"].(string))
	p.fails(cToken, "other")
}

// checkRevoked checks that a token was revoked (RFC 7009).
func checkRevoked(t *testing.T, p *pair, refreshToken string) {
	t.Helper()
	for _, r := range p.idp.Requests() {
		if r.Path == "revoke" && r.Form().Get("token") == refreshToken && r.Status == http.StatusOK {
			return
		}
	}
	t.Error("the refresh token is not revoked")
}

// testCRotation: the agent writes a new refresh token to the file, with the password
// source that the C client has given it.
func testCRotation(sources ...string) func(*testing.T) {
	return func(t *testing.T) {
		p := newCPair(t, rotating)
		p.run(cAdd, "-r", "demo")
		args := []string{cAdd}
		for _, s := range sources {
			if strings.Contains(s, "%s") {
				s = fmt.Sprintf(s, p.pw)
			}
			args = append(args, s)
		}
		p.run(append(args, "demo")...)
		checkRotates(t, p, cGen, cToken, "demo")
		checkCFile(t, p, "demo")
		p.stopAgent()
		p.startAgent()
		p.run(append(args, "demo")...)
		checkRotates(t, p, cGen, cToken, "demo")
	}
}

// checkRotates checks that each refresh writes a new refresh token to disk.
func checkRotates(t *testing.T, p *pair, gen, token, name string) {
	t.Helper()
	for range 2 {
		before := p.printed(gen, name)["refresh_token"]
		p.run(token, "-f", name)
		if after := p.printed(gen, name)["refresh_token"]; after == before || after == "" {
			t.Errorf("the refresh token on disk is still %v", after)
		}
	}
}

// testCRotationNew uses the account as oidc-gen has left it.
func testCRotationNew(t *testing.T) {
	p := newCPair(t, rotating)
	checkRotates(t, p, cGen, cToken, "demo")
	checkCFile(t, p, "demo")
}

// testCRotationLost: the password is typed, so the agent cannot get it later. The
// user is warned, and the account works as long as the agent runs.
func testCRotationLost(t *testing.T) {
	p := newCPair(t, rotating)
	p.run(cAdd, "-r", "demo")
	r := p.typing(`Enter decryption password`, []string{filePw}, cAdd, "demo")
	if !strings.Contains(r.Terminal, "is not saved") {
		t.Errorf("nothing says that the new refresh token is not saved:\n%s", r.Terminal)
	}
	p.run(cToken, "-f", "demo")
	p.run(cToken, "-f", "demo")
}
