package main

import (
	"path/filepath"
	"testing"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
)

func verifyRequest(token string) *cjson.Object {
	return cjson.New().SetText("request", "verify_token").SetText("token", token)
}

// A token is verified with the keys of an issuer with which the user has an account. No other server is asked.
func TestVerifyToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.load("verify")
	token := w.must(w.agent, tokenFor("verify")).Text("access_token")
	reply := w.must(w.agent, verifyRequest(token))
	if !reply.Bool("valid") || reply.Text("issuer") != w.idp.Issuer() {
		t.Errorf("answered %s", reply.Compact())
	}
	reply = w.must(w.agent, verifyRequest(token[:len(token)-8]+"AAAAAAAA"))
	if !reply.Has("valid") || reply.Bool("valid") || reply.Text("info") == "" {
		t.Errorf("answered %s", reply.Compact())
	}
	want(t, ask(w.agent, verifyRequest("opaque")), "not a JWT...")
	want(t, ask(w.agent, verifyRequest("e30.e30.")), "the token does not name its issuer")

	other := newWorld(t, iam.Settings{}) // no account there
	other.load("verify-other")
	stranger := other.must(other.agent, tokenFor("verify-other")).Text("access_token")
	other.idp.ForgetRequests()
	other.must(other.agent, cjson.New().SetText("request", "remove").SetText("account", "verify-other"))
	if err := account.NoteAccount(dirOf(t), other.idp.Issuer(), "verify-other", false); err != nil {
		t.Fatal(err)
	}
	want(t, ask(w.agent, verifyRequest(stranger)), "you have no account with the token's issuer \""+other.idp.Issuer()+"\"")
	if asked := other.idp.Requests(); len(asked) != 0 {
		t.Errorf("a stranger was asked: %v", asked)
	}
	// The account need not be loaded.
	if err := account.NoteAccount(dirOf(t), other.idp.Issuer(), "verify-other", true); err != nil {
		t.Fatal(err)
	}
	if reply := w.must(w.agent, verifyRequest(stranger)); !reply.Bool("valid") {
		t.Errorf("answered %s", reply.Compact())
	}
}

func dirOf(t *testing.T) account.Dir {
	t.Helper()
	dir, err := account.FindDir()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// A client that can ask the user itself is told which account to load, and the agent shows no window.
func TestNoAutoload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	c := w.account("stay")
	w.write(filepath.Join(configDir(), "stay"), c)
	answer(t, "stay", filePassword)
	if err := account.NoteAccount(dirOf(t), c.IssuerURL, "stay", true); err != nil {
		t.Fatal(err)
	}
	byIssuer := cjson.New().SetText("request", "access_token").SetText("issuer", c.IssuerURL)
	for _, r := range []*cjson.Object{tokenFor("stay"), byIssuer} {
		reply := ask(w.agent, r.SetInt("no_autoload", 1))
		want(t, reply, "account not loaded")
		if reply.Text("account") != "stay" || reply.Bool("no_autoload") {
			t.Errorf("answered %s", reply.Compact())
		}
	}
	want(t, ask(w.agent, tokenFor("nosuch", "no_autoload", "1")), "No account configured with that short name")
	if asked := questions(t, "stay"); len(asked) != 0 {
		t.Errorf("asked %q", asked)
	}
	w.agent.settings.Autoload = false
	if reply := ask(w.agent, tokenFor("stay", "no_autoload", "1")); !reply.Bool("no_autoload") {
		t.Errorf("answered %s", reply.Compact())
	}
}
