package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
)

func TestAutoload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	path := filepath.Join(configDir(), "auto")
	c := w.account("under another name") // a renamed file still has the old name inside
	w.write(path, c)
	answer(t, "auto", filePassword)
	w.must(w.agent, tokenFor("auto"))
	w.must(w.agent, forced("auto"))
	if got := questions(t, "auto"); len(got) != 1 || got[0] != "An application requests a token for 'auto'. Enter the encryption password of this account:\n" {
		t.Errorf("asked %q", got)
	}
	if w.tokenInFile(path) != w.tokenInMemory(w.agent, "auto") {
		t.Error("the file is not up to date")
	}
	if names := w.agent.accounts.names(); len(names) != 1 || names[0] != "auto" {
		t.Errorf("loaded: %v", names)
	}
}

func TestAutoloadRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	for _, name := range []string{"autowrong", "autocancelled", "autodamaged", "autorubbish"} {
		w.write(filepath.Join(configDir(), name), w.account(name))
	}
	data := must(os.ReadFile(filepath.Join(configDir(), "autodamaged")))
	damaged := strings.Replace(string(data), "\n", "\n ", 3)
	if err := os.WriteFile(filepath.Join(configDir(), "autodamaged"), []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(configDir(), "autorubbish"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	answer(t, "autowrong", "not the password")
	answer(t, "autocancelled", "")
	answer(t, "autodamaged", filePassword)
	for _, c := range []struct {
		name, failure string
		questions     int
	}{
		{"autowrong", "wrong password", 3},
		{"autocancelled", "account not loaded", 1},
		{"autodamaged", configDir() + "/autodamaged: the file is damaged...", 1},
		{"autorubbish", configDir() + "/autorubbish: not an encrypted file of a known format", 0},
		{"autonosuch", "No account configured with that short name", 0},
		{"../auto", "No account configured with that short name", 0},
		{"issuer.config", "No account configured with that short name", 0},
	} {
		want(t, ask(w.agent, tokenFor(c.name)), c.failure)
		if c.questions > 0 || !strings.Contains(c.name, "/") {
			if got := questions(t, c.name); len(got) != c.questions {
				t.Errorf("%s: asked %q", c.name, got)
			}
		}
	}
	w.agent.settings.Autoload = false
	want(t, ask(w.agent, tokenFor("autowrong")), "account not loaded")
	want(t, ask(w.agent, tokenFor("autonosuch")), "account not loaded")
	if names := w.agent.accounts.names(); len(names) != 0 {
		t.Errorf("loaded: %v", names)
	}
}

// All requests for the same account share one window, and one that comes right after the answer opens none.
func TestAutoloadOneWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	name := "autoshared"
	path := filepath.Join(configDir(), name)
	w.write(path, w.account(name))
	reply := pipe(t, name)
	waiting := make(chan []*cjson.Object)
	go func() { waiting <- together(w.agent, 20, tokenFor(name)) }()
	awaitQuestion(t, name)
	// While the user is thinking, another agent uses the file's refresh token.
	dead := w.tokenInFile(path)
	w.write(path, w.account(name))
	w.idp.Revoke(dead)
	reply(filePassword)
	for _, got := range <-waiting {
		if got.Text("status") != "success" {
			t.Errorf("answered %s", got.Compact())
		}
	}
	if w.presentedTwice() != "" {
		t.Error("a refresh token was used twice")
	}
	if asked := w.agent.accounts.names(); len(asked) != 1 {
		t.Errorf("loaded: %v", asked)
	}
}

// oidc-add may be faster than the user at the window.
func TestAutoloadOvertaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	name := "autolate"
	path := filepath.Join(configDir(), name)
	c := w.account(name)
	w.write(path, c)
	reply := pipe(t, name)
	waiting := make(chan *cjson.Object)
	go func() { waiting <- ask(w.agent, tokenFor(name)) }()
	awaitQuestion(t, name)
	w.must(w.agent, addRequest(c, path).SetBool("always_allow_id_token", true))
	reply(filePassword)
	if got := <-waiting; got.Text("status") != "success" {
		t.Errorf("answered %s", got.Compact())
	}
	if l := w.agent.accounts.find(name); !l.idTokenFree || len(w.agent.accounts.names()) != 1 {
		t.Error("the window's account has replaced the one that oidc-add loaded")
	}
}

// By issuer: a loaded account, preferably the default one, else the last; if none is loaded, the default is.
func TestChooseByIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	byIssuer := func() *cjson.Object { return tokenFor("", "issuer", w.idp.Issuer()) }
	want(t, ask(w.agent, byIssuer()), "account not loaded")
	want(t, askText(w.agent, `{"request":"access_token"}`), "Bad Request: neither an account nor an issuer is named")
	answer(t, "issuer1", filePassword)
	w.write(filepath.Join(configDir(), "issuer1"), w.account("issuer1"))
	w.must(w.agent, addRequest(w.account("issuer1"), "")) // in issuer.config from now on
	w.must(w.agent, addRequest(w.account("issuer2"), ""))
	chosen := func() string {
		t.Helper()
		l, err := w.agent.choose(t.Context(), request{byIssuer()})
		if err != nil {
			t.Fatal(err)
		}
		return l.name()
	}
	if got := chosen(); got != "issuer2" {
		t.Errorf("chose %q, not the last", got)
	}
	w.must(w.agent, cjson.New().SetText("request", "remove_all"))
	if got := chosen(); got != "issuer1" {
		t.Errorf("chose %q, not the first of issuer.config", got)
	}
	w.must(w.agent, addRequest(w.account("issuer2"), ""))
	path := filepath.Join(configDir(), "issuer.config.d", "choose")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := account.WriteFile(path, []byte(`[{"issuer":"`+w.idp.Issuer()+`","default_account":"issuer1"}]`)); err != nil {
		t.Fatal(err)
	}
	if got := chosen(); got != "issuer1" {
		t.Errorf("chose %q, not the issuer's default account", got)
	}
}

func TestConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	answer(t, "consent", "yes")
	w.must(w.agent, addRequest(w.account("consent"), "").SetBool("confirm", true))
	w.must(w.agent, tokenFor("consent", "application_hint", "a script"))
	answer(t, "consent", "")
	want(t, ask(w.agent, tokenFor("consent")), "operation forbidden")
	want(t, askText(w.agent, `{"request":"id_token","account":"consent"}`), "operation forbidden")
	got := strings.Join(questions(t, "consent"), "")
	if got != "a script requests an access token for 'consent'. Do you want to allow this?\n"+
		"An application requests an access token for 'consent'. Do you want to allow this?\n"+
		"An application requests an id token for 'consent'. Do you want to allow this?\n" {
		t.Errorf("asked %s", got)
	}
	// For every account, if the agent was started that way.
	w.must(w.agent, addRequest(w.account("consent2"), ""))
	w.must(w.agent, tokenFor("consent2"))
	w.agent.settings.Confirm = true
	want(t, ask(w.agent, tokenFor("consent2")), "operation forbidden")
}
