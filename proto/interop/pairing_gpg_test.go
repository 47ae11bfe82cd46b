package interop

import (
	"strings"
	"testing"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/e2e/user"
)

// sampleKey is the key of the sample files, without a passphrase.
const sampleKey = "7D6AB3FD29CF8D2BC3FD2A6CEC6D069EA07DB6BA"

// TestGPG moves gpg-encrypted account files between our programs and C's, in both
// directions, with the real gpg.
func TestGPG(t *testing.T) {
	sideBySide(t, map[string]func(*testing.T){
		"samples":               testGPGSamples,
		"ours, used by C":       testGPGForC,
		"C's, used by ours":     testGPGOfC,
		"format kept":           testGPGKept,
		"rotated by ours":       testGPGRotated,
		"rotated, new account":  testGPGRotatedNew,
		"rotated by C, then us": testGPGRotatedByC,
		"--update":              testGPGUpdate,
	})
}

// newGPGPair has the sample key in the home's keyring.
func newGPGPair(t *testing.T, settings ...func(*iam.Settings)) *pair {
	t.Helper()
	p := newPair(t, settings...)
	p.run("mkdir", "-m", "700", p.dir+"/.gnupg")
	t.Cleanup(func() { p.run("gpgconf", "--kill", "all") })
	p.write("key.asc", p.read("testdata/gpg/secret-key.asc"))
	p.run("gpg", "--batch", "--quiet", "--import", "key.asc")
	trust := sampleKey + ":6:\n"
	p.must(user.Program{Args: []string{"gpg", "--batch", "--quiet", "--import-ownertrust"}, Stdin: &trust})
	return p
}

func (p *pair) generateGPG(gen, name string) {
	p.t.Helper()
	p.run(gen, "-w", "device", "--issuer="+p.idp.Issuer(), "--scope="+pairedScope, "--pw-gpg="+sampleKey,
		"--prompt=none", "--no-url-call", name)
	checkGPGFile(p.t, p, name)
}

// checkGPGFile also checks the recipient with gpg.
func checkGPGFile(t *testing.T, p *pair, name string) {
	t.Helper()
	text := p.read(p.file(name))
	if !strings.HasPrefix(text, "-----BEGIN PGP MESSAGE-----\n") ||
		!strings.Contains(text, "\n-----END PGP MESSAGE-----\nGenerated using version: ") || strings.HasSuffix(text, "\n") {
		t.Errorf("%s is not gpg-encrypted as C does it:\n%s", name, text)
	}
	packets := p.run("gpg", "--batch", "--list-packets", p.file(name))
	if strings.Count(packets, ":pubkey enc packet:") != 1 {
		t.Errorf("%s is encrypted to other keys than the sample's:\n%s", name, packets)
	}
}

func (p *pair) rotatesGPG(token, name string) {
	p.t.Helper()
	checkRotates(p.t, p, "oidc-gen", token, name)
	checkRotates(p.t, p, cGen, token, name)
	checkGPGFile(p.t, p, name)
}

func testGPGSamples(t *testing.T) {
	p := newGPGPair(t)
	for _, version := range []string{"4.2.6", "5.3.3"} {
		sample := p.write("sample-"+version, p.read("../../crypt/testdata/"+version+"/gpg"))
		want := strings.TrimSpace(p.read("../account/testdata/" + version + "/gpg.plain.json"))
		for _, gen := range []string{"oidc-gen", cGen} {
			if got := p.run(gen, "-p", sample); got != want {
				t.Errorf("%s reads the sample of %s as\n%s\nwant\n%s", gen, version, got, want)
			}
		}
	}
}

func testGPGForC(t *testing.T) {
	p := newGPGPair(t)
	p.startAgent()
	p.generateGPG("oidc-gen", "demo")
	if scope := p.printed(cGen, "demo")["scope"]; scope != pairedScope {
		t.Errorf("scope %v: 4.2.6 knows no other", scope)
	}
	p.useInC("demo")
	p.checkJob(cToken, "demo")
}

// testGPGOfC makes the file with --update, because 4.2.6 crashes when it makes a new
// account.
func testGPGOfC(t *testing.T) {
	p := newGPGPair(t, rotating)
	p.startCAgent()
	p.generate(cGen, "demo")
	p.run(cGen, "-u", "demo", "--pw-file="+p.pw, "--pw-gpg="+sampleKey)
	checkGPGFile(t, p, "demo")
	p.useInOurs("demo")
	p.checkJob("oidc-token", "demo")
	p.rotatesGPG("oidc-token", "demo")
	p.useInC("demo")
	p.checkJob(cToken, "demo")
}

func testGPGKept(t *testing.T) {
	p := newGPGPair(t)
	p.startAgent()
	p.generateGPG("oidc-gen", "demo")
	before := p.printed("oidc-gen", "demo")["refresh_token"]
	p.run("oidc-gen", "--reauthenticate", "-w", "device", "--prompt=none", "demo")
	checkGPGFile(t, p, "demo")
	if p.printed("oidc-gen", "demo")["refresh_token"] == before {
		t.Error("--reauthenticate leaves the old refresh token")
	}
	p.run("oidc-gen", "-m", "-w", "device", "--scope=openid offline_access", "--prompt=none", "demo")
	checkGPGFile(t, p, "demo")
	p.run("oidc-gen", "--rename=other", "demo")
	checkGPGFile(t, p, "other")
	p.run("oidc-add", "-R")
	p.run("oidc-add", "other")
	p.run("oidc-token", "-f", "other")
	p.run("oidc-gen", "-d", "other", "--confirm-yes")
}

func testGPGRotated(t *testing.T) {
	p := newGPGPair(t, rotating)
	p.startAgent()
	p.generateGPG("oidc-gen", "demo")
	p.run("oidc-add", "-r", "demo")
	p.run("oidc-add", "demo")
	p.rotatesGPG("oidc-token", "demo")
	p.stopAgent()
	p.startAgent()
	p.run(cAdd, "demo")
	p.rotatesGPG(cToken, "demo")
}

func testGPGRotatedNew(t *testing.T) {
	p := newGPGPair(t, rotating)
	p.startAgent()
	p.generateGPG("oidc-gen", "demo")
	p.rotatesGPG("oidc-token", "demo")
}

func testGPGRotatedByC(t *testing.T) {
	p := newGPGPair(t, rotating)
	p.startAgent()
	p.generateGPG("oidc-gen", "demo")
	p.stopAgent()
	p.startCAgent()
	p.run("oidc-add", "demo")
	p.rotatesGPG("oidc-token", "demo")
	p.run(cAdd, "-r", "demo")
	p.run(cAdd, "demo")
	p.rotatesGPG(cToken, "demo")
	p.useInOurs("demo")
	p.rotatesGPG("oidc-token", "demo")
}

func testGPGUpdate(t *testing.T) {
	p := newGPGPair(t)
	p.startAgent()
	p.generate("oidc-gen", "demo")
	want := p.printed("oidc-gen", "demo")
	p.run("oidc-gen", "-u", "demo", "--pw-file="+p.pw, "--pw-gpg="+sampleKey)
	checkGPGFile(t, p, "demo")
	if got := p.printed("oidc-gen", "demo"); got["refresh_token"] != want["refresh_token"] {
		t.Errorf("after --update: %v, want %v", got, want)
	}
	p.run("oidc-gen", "-u", "demo", "--pw-file="+p.pw, "--format=c")
	checkCFile(t, p, "demo")
	if got := p.printed(cGen, "demo"); got["refresh_token"] != want["refresh_token"] {
		t.Errorf("after --update --format=c: %v, want %v", got, want)
	}
}
