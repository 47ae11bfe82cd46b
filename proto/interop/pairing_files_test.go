package interop

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"oidc-agent/proto/e2e/user"
)

// TestCFiles moves account files between our programs and C's, in both directions.
func TestCFiles(t *testing.T) {
	sideBySide(t, map[string]func(*testing.T){
		"ours, with --format=c, used by C":  testFileForC("--format=c"),
		"ours, by the config file":          testFileByConfig,
		"ours, rotated by C":                testRotatedByC,
		"C's, used and rotated by ours":     testFileOfC,
		"--update to and fro":               testUpdateToAndFro,
		"--update by C meanwhile":           testUpdateMeanwhile,
		"format kept, C's":                  testFormatKept("c"),
		"format kept, ours":                 testFormatKept("scrypt"),
		"members that nobody knows survive": testUnknownMembers,
		"both write issuer.config":          testIssuerConfig,
	})
}

// checkFormat checks the format of a file.
func checkFormat(t *testing.T, p *pair, name, format string) {
	t.Helper()
	if format == "c" {
		checkCFile(t, p, name)
	} else if text := p.read(p.file(name)); strings.Contains(text, "Generated using version") {
		t.Errorf("%s is in C's format, want %s", name, format)
	}
}

// useInC stops our agent and uses the account with the C programs.
func (p *pair) useInC(name string) {
	p.t.Helper()
	p.stopAgent()
	p.startCAgent()
	p.run(cAdd, "--pw-file="+p.pw, name)
}

// useInOurs stops the C agent and uses the account with our programs.
func (p *pair) useInOurs(name string) {
	p.t.Helper()
	p.stopCAgent()
	p.startAgent()
	p.run("oidc-add", "--pw-file="+p.pw, name)
}

func testFileForC(options ...string) func(*testing.T) {
	return func(t *testing.T) {
		p := newPair(t)
		p.startAgent()
		p.generate("oidc-gen", "demo", options...)
		checkFileForC(t, p)
	}
}

// checkFileForC: C compares the version in the last line, 4.2.6 reads the
// scope under its own name, and 5.3.3 under another.
func checkFileForC(t *testing.T, p *pair) {
	t.Helper()
	checkCFile(t, p, "demo")
	if !strings.HasSuffix(p.read(p.file("demo")), "\nGenerated using version: 5.3.3") {
		t.Error("the last line is not that of 5.3.3")
	}
	config := p.printed(cGen, "demo")
	if ours := p.printed("oidc-gen", "demo"); fmt.Sprint(ours) != fmt.Sprint(config) {
		t.Errorf("C reads\n%v\nwe read\n%v", config, ours)
	}
	if config["scope"] != pairedScope || config["auth_scope"] != pairedScope {
		t.Errorf("scope %q, auth_scope %q", config["scope"], config["auth_scope"])
	}
	p.useInC("demo")
	p.checkJob(cToken, "demo")
	var shown map[string]any
	if err := json.Unmarshal([]byte(p.run(cAdd, "-p", "--pw-file="+p.pw, "demo")), &shown); err != nil {
		t.Fatal(err)
	}
	for key, value := range shown {
		if fmt.Sprint(value) != fmt.Sprint(config[key]) {
			t.Errorf("oidc-add -p: %s is %v, want %v", key, value, config[key])
		}
	}
}

func testFileByConfig(t *testing.T) {
	p := newPair(t)
	p.run("mkdir", p.file(""))
	p.write(".config/oidc-agent/config", `{"oidc-agent": {}, "oidc-gen": {"account-format": "c"}, "oidc-add": {}, "oidc-token": {}}`)
	p.startAgent()
	p.generate("oidc-gen", "demo")
	p.generate("oidc-gen", "ours", "--format=scrypt")
	checkFormat(t, p, "ours", "scrypt")
	checkFileForC(t, p)
}

func testRotatedByC(t *testing.T) {
	p := newPair(t, rotating)
	p.startAgent()
	p.generate("oidc-gen", "demo", "--format=c")
	checkRotates(t, p, cGen, "oidc-token", "demo")
	for range 2 {
		p.useInC("demo")
		checkRotates(t, p, cGen, cToken, "demo")
		p.useInOurs("demo")
		checkRotates(t, p, cGen, "oidc-token", "demo")
		checkCFile(t, p, "demo")
	}
}

func testFileOfC(t *testing.T) {
	p := newPair(t, rotating)
	p.startCAgent()
	p.generate(cGen, "demo")
	p.useInOurs("demo")
	p.checkJob("oidc-token", "demo")
	checkRotates(t, p, "oidc-gen", "oidc-token", "demo")
	checkCFile(t, p, "demo")
	p.useInC("demo")
	checkRotates(t, p, cGen, cToken, "demo")
}

func testUpdateToAndFro(t *testing.T) {
	p := newPair(t)
	p.startCAgent()
	p.generate(cGen, "demo")
	config := p.printed(cGen, "demo")
	p.stopCAgent()
	for _, step := range []struct {
		args   []string
		format string
	}{
		{[]string{"oidc-gen", "--update=demo"}, "scrypt"},
		{[]string{"oidc-gen", "--update=demo", "--format=c"}, "c"},
		{[]string{cGen, "--update=demo"}, "c"},
		{[]string{"oidc-gen", "-u", "demo", "--format=scrypt"}, "scrypt"},
		{[]string{"oidc-gen", "-u", "demo", "--format=c"}, "c"},
	} {
		p.run(append(step.args, "--pw-file="+p.pw)...)
		checkFormat(t, p, "demo", step.format)
		now := p.printed("oidc-gen", "demo")
		for key, value := range config {
			if fmt.Sprint(now[key]) != fmt.Sprint(value) {
				t.Errorf("%q: %s is %v, want %v", step.args, key, now[key], value)
			}
		}
	}
	p.useInC("demo")
	p.checkJob(cToken, "demo")
	p.useInOurs("demo")
	p.checkJob("oidc-token", "demo")
}

// testUpdateMeanwhile: C's oidc-gen rewrites the file with another key while our agent has the account loaded. The
// agent does not touch that file and says how to give it the key.
func testUpdateMeanwhile(t *testing.T) {
	p := newPair(t, rotating)
	p.startAgent()
	p.generate("oidc-gen", "demo", "--format=c")
	p.run("oidc-token", "-f", "demo")
	p.run(cGen, "--update=demo", "--pw-file="+p.pw)
	written := p.read(p.file("demo"))
	for range 2 {
		r, err := p.try(user.Program{Args: []string{"oidc-token", "-f", "demo"}})
		if err != nil || r.Code != 0 || claim(t, strings.TrimSpace(r.Stdout), "scope") != pairedScope {
			t.Errorf("oidc-token: %v, %q", err, r.Stdout)
		}
		if !strings.HasPrefix(r.Stderr, "oidc-token: warning: ") || !strings.Contains(r.Stderr, "oidc-add -f demo") {
			t.Errorf("the user is told %q", r.Stderr)
		}
	}
	if p.read(p.file("demo")) != written {
		t.Error("the agent has overwritten what C wrote")
	}
	p.run("oidc-add", "-f", "--pw-file="+p.pw, "demo")
	checkRotates(t, p, cGen, "oidc-token", "demo")
	checkCFile(t, p, "demo")
	p.stopAgent()
	p.startAgent()
	p.run("oidc-add", "--pw-file="+p.pw, "demo")
	checkRotates(t, p, "oidc-gen", "oidc-token", "demo")
}

// testFormatKept: commands that rewrite a file keep its format.
func testFormatKept(format string) func(*testing.T) {
	return func(t *testing.T) {
		p := newPair(t, rotating)
		p.startAgent()
		p.generate("oidc-gen", "demo", "--format="+format)
		checkFormat(t, p, "demo", format)
		checkRotates(t, p, "oidc-gen", "oidc-token", "demo")
		checkFormat(t, p, "demo", format)
		p.run("oidc-gen", "--reauthenticate", "-w", "device", "--pw-file="+p.pw, "--prompt=none", "demo")
		checkFormat(t, p, "demo", format)
		p.run("oidc-gen", "-m", "-w", "device", "--scope=openid offline_access", "--pw-file="+p.pw, "--prompt=none", "demo")
		checkFormat(t, p, "demo", format)
		if scope := p.printed("oidc-gen", "demo")["auth_scope"]; scope != "openid offline_access" {
			t.Errorf("after -m the scope is %q", scope)
		}
		p.run("oidc-gen", "--rename=other", "demo", "--pw-file="+p.pw)
		checkFormat(t, p, "other", format)
		if name := p.printed("oidc-gen", "other")["name"]; name != "other" {
			t.Errorf("after --rename the name is %q", name)
		}
		p.run("oidc-add", "-R")
		p.run("oidc-add", "--pw-file="+p.pw, "other")
		checkRotates(t, p, "oidc-gen", "oidc-token", "other")
		checkFormat(t, p, "other", format)
	}
}

// testUnknownMembers: the file has registration keys, as 4.2.6 may write them, and a
// key of a future version.
func testUnknownMembers(t *testing.T) {
	p := newPair(t, rotating)
	p.startCAgent()
	p.generate(cGen, "demo")
	p.stopCAgent()
	config := p.printed(cGen, "demo")
	extra := map[string]any{"registration_access_token": "rat", "registration_client_uri": "https://x.example.org/1",
		"from_the_future": map[string]any{"list": []any{1.5, nil, "ä\n\""}}}
	for key, value := range extra {
		config[key] = value
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	p.write(".config/oidc-agent/demo", string(text))
	p.run(cGen, "--update=demo", "--pw-file="+p.pw) // encrypts plain JSON
	p.useInOurs("demo")
	steps := [][]string{{"oidc-token", "-f", "demo"}, {"oidc-gen", "-u", "demo"}, {"oidc-gen", "-u", "demo", "--format=c"},
		{"oidc-gen", "--reauthenticate", "-w", "device", "--prompt=none", "demo"}}
	for _, args := range steps {
		if args[0] == "oidc-gen" {
			args = append(args, "--pw-file="+p.pw)
		}
		p.run(args...)
		now := p.printed("oidc-gen", "demo")
		for key, value := range extra {
			if fmt.Sprint(now[key]) != fmt.Sprint(value) {
				t.Errorf("%q: %s is %v, want %v", args, key, now[key], value)
			}
		}
	}
}

// testIssuerConfig uses both agents in one home, alternately. Each writes
// issuer.config in its own format.
func testIssuerConfig(t *testing.T) {
	p := newPair(t)
	p.startCAgent()
	p.generate(cGen, "first")
	p.stopCAgent()
	p.startAgent()
	p.generate("oidc-gen", "second", "--format=c")
	p.checkJob("oidc-token", p.idp.Issuer())
	p.stopAgent()
	p.startCAgent()
	p.generate(cGen, "third")
	p.checkJob("oidc-token", p.idp.Issuer())
	p.stopCAgent()
	p.startAgent()
	p.run("oidc-add", "--pw-file="+p.pw, "second")
	p.checkJob("oidc-token", p.idp.Issuer())
	p.expect("first\nsecond\nthird", "oidc-add", "-l")
}
