package interop

import (
	"os"
	"strings"
	"testing"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/e2e/user"
)

// TestCAgent runs our clients with the C agent, as on a machine where only the
// clients were replaced, or where the agent of another machine is forwarded.
func TestCAgent(t *testing.T) {
	sideBySide(t, map[string]func(*testing.T){
		"main job":              testMainJobOnC,
		"manual":                testManualOnC,
		"list and remove":       testRemoveOnC,
		"lock":                  testLockOnC,
		"id token":              testIDTokenOnC,
		"reauthenticate":        testReauthenticateOnC,
		"delete":                testDeleteOnC,
		"C alone":               testCAlone,
		"rotation, new account": testRotationOnC(),
		"rotation, --pw-file":   testRotationOnC("--pw-file="),
		"rotation, --pw-cmd":    testRotationOnC("--pw-cmd=cat "),
		"rotation, --pw-store":  testRotationOnC("--pw-store", "--pw-file="),
	})
}

func newPairOnC(t *testing.T, settings ...func(*iam.Settings)) *pair {
	t.Helper()
	p := newPair(t, settings...)
	p.startCAgent()
	p.generate("oidc-gen", "demo")
	return p
}

func testMainJobOnC(t *testing.T) {
	p := newPairOnC(t)
	checkCFile(t, p, "demo") // not requested, but a C agent has answered
	p.checkJob("oidc-token", "demo")
	p.checkJob("oidc-token", p.idp.Issuer())
	p.checkJob(cToken, "demo")
	p.expect(`\S+\n`+p.idp.Issuer()+`\n\d{10}`, "oidc-token", "-a", "demo")
	if text := p.fails("oidc-token", "nosuch"); !strings.Contains(text, "No account configured with that short name") {
		t.Errorf("an unknown account: %s", text)
	}
	p.expect(`(?s).*version 4\.2\.6.*accounts loaded: demo.*`, "oidc-agent", "--status")
}

func testManualOnC(t *testing.T) {
	p := newPair(t)
	p.startCAgent()
	client := iam.Client{ClientID: "by-hand", ClientSecret: "own secret", RedirectURIs: []string{"http://localhost:4242"},
		GrantTypes: []string{"refresh_token", deviceGrant}, Scope: pairedScope}
	if err := p.idp.AddClient(client); err != nil {
		t.Fatal(err)
	}
	p.generate("oidc-gen", "demo", "-m", "--client-id=by-hand", "--client-secret=own secret")
	p.checkJob("oidc-token", "demo")
}

func testRemoveOnC(t *testing.T) {
	p := newPairOnC(t)
	p.expect("demo", "oidc-add", "-a")
	p.expect("demo", "oidc-add", "-l")
	p.expect("success", "oidc-add", "-r", "demo")
	p.expect("", "oidc-add", "-a")
	p.fails("oidc-token", "demo")
	p.fails("oidc-add", "-r", "demo")
	p.expect("success", "oidc-add", "--pw-file="+p.pw, "demo")
	p.checkJob("oidc-token", "demo")
	p.expect("success", "oidc-add", "-R")
	p.expect("", "oidc-add", "-a")
	r, err := p.try(user.Program{Args: []string{"oidc-add", "-t", "3600", "--pw-file=" + p.pw, "demo"}})
	if err != nil || r.Code != 0 || !strings.Contains(r.Stdout+r.Stderr, "Lifetime set to 3600 seconds") {
		t.Errorf("%v, exit %d: %s%s", err, r.Code, r.Stdout, r.Stderr)
	}
	p.run("oidc-add", "-R")
	r = p.typing(`Enter decryption password`, []string{"not this", filePw}, "oidc-add", "demo")
	if r.Code != 0 {
		t.Errorf("exit %d\n%s", r.Code, r.Terminal)
	}
	p.checkJob("oidc-token", "demo")
}

func testLockOnC(t *testing.T) {
	p := newPairOnC(t)
	prompt := `(?:Enter|Confirm) lock password`
	if r := p.typing(prompt, []string{"hush hush", "hush hush"}, "oidc-add", "-x"); r.Code != 0 || !strings.Contains(r.Terminal, "success") {
		t.Fatalf("-x: exit %d\n%s", r.Code, r.Terminal)
	}
	for _, args := range [][]string{{"oidc-token", "demo"}, {"oidc-add", "-a"}, {"oidc-add", "-r", "demo"},
		{"oidc-gen", "--reauthenticate", "--pw-file=" + p.pw, "--prompt=none", "demo"}} {
		if text := p.fails(args...); !strings.Contains(text, "Agent locked") {
			t.Errorf("%q while locked: %s", args, text)
		}
	}
	if r := p.typing(prompt, []string{"nonsense"}, "oidc-add", "-X"); r.Code == 0 {
		t.Errorf("a wrong password unlocks:\n%s", r.Terminal)
	}
	if r := p.typing(prompt, []string{"hush hush"}, "oidc-add", "-X"); r.Code != 0 {
		t.Errorf("-X: exit %d\n%s", r.Code, r.Terminal)
	}
	p.checkJob("oidc-token", "demo")
}

// testIDTokenOnC has a password window that refuses.
func testIDTokenOnC(t *testing.T) {
	p := newPair(t)
	p.withPrompt()
	p.write("answer", "no\n")
	p.startCAgent()
	p.generate("oidc-gen", "demo")
	p.run("oidc-add", "-r", "demo")
	p.run("oidc-add", "--always-allow-idtoken", "--pw-file="+p.pw, "demo")
	p.expect(`\S+\.\S+\.\S+`, "oidc-token", "--id-token", "demo")
	p.run("oidc-add", "-r", "demo")
	p.run("oidc-add", "--confirm", "--pw-file="+p.pw, "demo")
	for _, args := range [][]string{{"oidc-token", "demo"}, {"oidc-token", "--id-token", "demo"}} {
		if text := p.fails(args...); !strings.Contains(text, "operation forbidden") {
			t.Errorf("%q: %s", args, text)
		}
	}
}

func testReauthenticateOnC(t *testing.T) {
	p := newPairOnC(t)
	before := p.printed("oidc-gen", "demo")["refresh_token"].(string)
	p.idp.Revoke(before)
	p.run("oidc-gen", "--reauthenticate", "-w", "device", "--pw-file="+p.pw, "--prompt=none", "demo")
	if p.printed("oidc-gen", "demo")["refresh_token"] == before {
		t.Error("the refresh token is the old one")
	}
	checkCFile(t, p, "demo")
	p.checkJob("oidc-token", "demo")
}

// testCAlone runs the C programs with fakeidp, which must behave like an IAM.
func testCAlone(t *testing.T) {
	p := newPair(t)
	p.startCAgent()
	p.generate(cGen, "demo")
	p.checkJob(cToken, "demo")
	p.run(cAdd, "-r", "demo")
	p.run(cAdd, "--pw-file="+p.pw, "demo")
	p.checkJob(cToken, "demo")
	before := p.printed(cGen, "demo")["refresh_token"].(string)
	p.run(cGen, "--reauthenticate", "-w", "device", "--pw-file="+p.pw, "--prompt=none", "--no-url-call", "demo")
	after := p.printed(cGen, "demo")["refresh_token"].(string)
	if after == before {
		t.Error("the refresh token is the old one")
	}
	p.checkJob(cToken, "demo")
	p.run(cGen, "-d", "demo", "--confirm-yes", "--pw-file="+p.pw)
	checkRevoked(t, p, after)
}

func testDeleteOnC(t *testing.T) {
	p := newPairOnC(t)
	refreshToken := p.printed("oidc-gen", "demo")["refresh_token"].(string)
	p.run("oidc-gen", "-d", "demo", "--confirm-yes", "--pw-file="+p.pw)
	if _, err := os.Stat(p.file("demo")); !os.IsNotExist(err) {
		t.Errorf("the file after -d: %v", err)
	}
	checkRevoked(t, p, refreshToken)
	p.fails("oidc-token", "demo")
	p.expect("", "oidc-add", "-a")
}

// testRotationOnC: the C agent writes a new refresh token to a file of ours, with
// the password source that our client has given it.
func testRotationOnC(sources ...string) func(*testing.T) {
	return func(t *testing.T) {
		p := newPairOnC(t, rotating)
		if len(sources) > 0 {
			sources[len(sources)-1] += p.pw
			p.run("oidc-add", "-r", "demo")
			r, err := p.try(user.Program{Args: append(append([]string{"oidc-add"}, sources...), "demo")})
			if err != nil || r.Code != 0 {
				t.Fatalf("%v, exit %d: %s", err, r.Code, r.Stderr)
			}
		}
		checkRotates(t, p, "oidc-gen", "oidc-token", "demo")
		checkCFile(t, p, "demo")
		checkRotates(t, p, cGen, cToken, "demo")
	}
}
