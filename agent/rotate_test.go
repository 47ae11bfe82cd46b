package main

import (
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// alive uses a refresh token for the first time, or kills its family if it was spent.
func (w *world) alive(token string) bool {
	a := w.newAgent()
	c := w.config("alive")
	c.RefreshToken = secret.FromString(token)
	return ask(a, addRequest(c, "")).Text("status") == "success"
}

// presentedTwice returns a refresh token that was presented twice, or "".
func (w *world) presentedTwice() string {
	seen := map[string]bool{}
	for _, r := range w.idp.Requests() {
		token := r.Form().Get("refresh_token")
		if token != "" && seen[token] {
			return token
		}
		seen[token] = true
	}
	return ""
}

// The new refresh token is on disk before the access token is handed out, and an agent that starts after a crash finds
// it there.
func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	path := w.load("rotation")
	before := w.read(path)
	if info := w.must(w.agent, forced("rotation")).Text("info"); info != "" {
		t.Errorf("info %q", info)
	}
	for range 50 {
		last := w.tokenInFile(path)
		w.must(w.agent, forced("rotation"))
		if inFile := w.tokenInFile(path); inFile == last || inFile != w.tokenInMemory(w.agent, "rotation") {
			t.Fatalf("the file has %q, before the refresh %q", inFile, last)
		}
	}
	if w.presentedTwice() != "" {
		t.Error("a refresh token was used twice")
	}
	after := w.read(path)
	if after.Extra().Text("registration_access_token") != "rat-of-rotation" {
		t.Errorf("the file has lost something: %s", after.Extra().Compact())
	}
	after.RefreshToken = before.RefreshToken
	if string(after.Object().Compact()) != string(before.Object().Compact()) {
		t.Errorf("the file was\n%s\nand is\n%s", before.Object().Compact(), after.Object().Compact())
	}
	fresh := w.newAgent()
	w.must(fresh, addRequest(w.read(path), path))
	w.must(fresh, forced("rotation"))
}

// Each scope has its own flight, but they must not present one refresh token twice.
func TestRotationOfManyScopes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	path := w.load("manyscopes")
	scopes := []string{"openid", "profile", "storage.read:/a", "storage.read:/b", "storage.read:/c"}
	var all sync.WaitGroup
	for range 4 {
		for _, scope := range scopes {
			all.Go(func() {
				if reply := ask(w.agent, tokenFor("manyscopes", "scope", scope, "min_valid_period", "-1")); reply.Text("status") != "success" {
					t.Errorf("%s: %s", scope, reply.Compact())
				}
			})
		}
	}
	all.Wait()
	if w.presentedTwice() != "" {
		t.Error("a refresh token was used twice")
	}
	if w.tokenInFile(path) != w.tokenInMemory(w.agent, "manyscopes") {
		t.Error("the file is not up to date")
	}
}

// A provider that has once replaced a refresh token is never again taken for one that does not.
func TestRotationNowAndThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.load("nowandthen")
	l := w.agent.accounts.find("nowandthen")
	if !l.keepsToken() {
		t.Error("a token that stays is not known as such")
	}
	w.idp.Change(func(s *iam.Settings) { s.Rotate = true })
	w.must(w.agent, forced("nowandthen"))
	w.idp.Change(func(s *iam.Settings) { s.Rotate = false })
	w.must(w.agent, forced("nowandthen"))
	if l.keepsToken() {
		t.Error("a token that was replaced once is taken for constant")
	}
}

// The answer to a grant that another has overtaken must not bring the old token back.
func TestRotateAnswersOutOfOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	path := w.load("order")
	l := w.agent.accounts.find("order")
	used, old := l.file.current(), w.tokenInFile(path)
	w.agent.rotate(t.Context(), l, used, secret.FromString("new"), false)
	w.agent.rotate(t.Context(), l, used, secret.FromString(old), false)
	w.agent.rotate(t.Context(), l, used, secret.Secret{}, false)
	if got := w.tokenInMemory(w.agent, "order"); got != "new" || w.tokenInFile(path) != "new" {
		t.Errorf("memory has %q, the file %q", got, w.tokenInFile(path))
	}
	// Nor must it replace a new login that another grant has found in the file.
	c := w.account("order")
	used, login := l.file.current(), string(c.RefreshToken.Reveal())
	w.write(path, c)
	if err := w.agent.reconcile(t.Context(), l, digest{}); err != nil {
		t.Fatal(err)
	}
	w.agent.rotate(t.Context(), l, used, secret.FromString("late"), false)
	if got := w.tokenInMemory(w.agent, "order"); got != login || w.tokenInFile(path) != login {
		t.Errorf("memory has %q, the file %q, the login gave %q", got, w.tokenInFile(path), login)
	}
}

// An answer that is no good may hold the only refresh token that is still valid.
func TestRotationWithBadAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	path := w.load("badanswer")
	w.idp.Fail(iam.Fault{Path: "token", Times: 1, Set: map[string]any{"access_token": nil}})
	last := w.tokenInFile(path)
	want(t, ask(w.agent, forced("badanswer")), "provider answered with HTTP status 200...")
	if w.tokenInFile(path) == last {
		t.Error("the new refresh token is not in the file")
	}
	w.must(w.agent, forced("badanswer"))
	// The same in an add without a key: only memory has the token, so the account stays.
	c := w.account("badadd")
	w.idp.Fail(iam.Fault{Path: "token", Times: 1, Set: map[string]any{"access_token": nil}})
	want(t, ask(w.agent, addRequest(c, "")), "provider answered with HTTP status 200...")
	w.must(w.agent, tokenFor("badadd"))
}

func saved(name, path string) *cjson.Object {
	return cjson.New().SetText("request", "saved").SetText("account", name).
		SetText("file", path).SetSecret("key", fileKey().Marshal())
}

// A refresh happens while the user is still typing the new file's password: `saved` makes the agent write the file.
func TestSaved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true, AutoApprove: true})
	c := w.finishDevice("saved", nil)
	path := filepath.Join(w.dir, "saved")
	w.must(w.agent, forced("saved"))
	w.must(w.agent, forced("saved"))
	w.write(path, c) // as gen got it
	w.must(w.agent, saved("saved", path))
	if w.tokenInFile(path) != w.tokenInMemory(w.agent, "saved") {
		t.Error("the newer refresh token is not in the file")
	}
	w.must(w.agent, forced("saved"))
	if w.tokenInFile(path) != w.tokenInMemory(w.agent, "saved") {
		t.Error("the next refresh token is not in the file")
	}
	for _, c := range []struct{ account, path, key, text string }{
		{"nosuch", path, "", "account not loaded"},
		{"saved", path, "no key", `key of "` + path + `": not the text of a file key`},
		{"saved", "relative", string(fileKey().Marshal().Reveal()), `file "relative" of account "saved": an absolute path is needed`},
		{"saved", path + "-gone", string(fileKey().Marshal().Reveal()), ""}, // nothing to write now
	} {
		r := cjson.New().SetText("request", "saved").SetText("account", c.account).SetText("file", c.path).SetText("key", c.key)
		if reply := ask(w.agent, r); c.text != "" || reply.Text("status") != "success" {
			want(t, reply, c.text)
		}
	}
	// A gpg file has no key: that is no error, and changes nothing.
	w.must(w.agent, cjson.New().SetText("request", "saved").SetText("account", "saved").SetText("file", path))
}

// Two login nodes share a directory, and the provider kills a family when a spent token comes back.
func TestTwoAgents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	path := w.load("twoagents")
	other := w.newAgent()
	w.must(other, addRequest(w.read(path), path))
	var both sync.WaitGroup
	for _, a := range []*agent{w.agent, other} {
		both.Go(func() {
			for range 20 {
				if reply := ask(a, forced("twoagents")); reply.Text("status") != "success" {
					t.Errorf("%s", reply.Compact())
					return
				}
			}
		})
	}
	both.Wait()
	if w.presentedTwice() != "" {
		t.Error("a refresh token was used twice")
	}
	if !w.alive(w.tokenInFile(path)) {
		t.Error("the file's refresh token is dead")
	}
}

// The same if the provider begins to rotate only now: both agents take the token for constant.
func TestTwoAgentsLateRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	path := w.load("late")
	other := w.newAgent()
	w.must(other, addRequest(w.read(path), path))
	w.idp.Change(func(s *iam.Settings) { s.Rotate = true })
	// Clients that want different scopes do not present the sibling's new token in parallel.
	w.must(other, forced("late"))
	w.idp.ForgetRequests()
	var all sync.WaitGroup
	for _, scope := range []string{"openid", "profile", "storage.read:/a", "storage.read:/b"} {
		all.Go(func() { ask(w.agent, tokenFor("late", "scope", scope)) })
	}
	all.Wait()
	if w.presentedTwice() != "" {
		t.Error("a refresh token was used twice")
	}
	for range 3 {
		w.must(w.agent, forced("late"))
		w.must(other, forced("late"))
	}
	if !w.alive(w.tokenInFile(path)) {
		t.Error("the file's refresh token is dead")
	}
}

// The agent adopts a new login from elsewhere before it uses the dead token.
func TestNewLoginElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	path := w.load("elsewhere")
	dead := w.tokenInFile(path)
	w.write(path, w.account("elsewhere"))
	w.idp.Revoke(dead)
	w.idp.ForgetRequests()
	w.must(w.agent, forced("elsewhere"))
	if w.grants() != 1 {
		t.Errorf("%d grants", w.grants())
	}
}

// The same if the file changes while the dead token is being refused: all flights go on with the new one.
func TestNewLoginDuringGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		path := w.load("during")
		dead := w.tokenInFile(path)
		c := w.account("during")
		w.idp.Revoke(dead)
		w.idp.Fail(iam.Fault{Path: "token", Delay: time.Second})
		waiting := make(chan *cjson.Object)
		for _, scope := range []string{"openid", "profile"} {
			go func() { waiting <- ask(w.agent, tokenFor("during", "scope", scope)) }()
		}
		time.Sleep(time.Second / 2)
		w.write(path, c)
		for range 2 {
			if reply := <-waiting; reply.Text("status") != "success" {
				t.Errorf("answered %s", reply.Compact())
			}
		}
	})
}

// The same in a login with a refresh token that the user has: the account is made with the new one.
func TestLoginByRefreshTokenWithBadAnswer(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]iam.Fault{
		"notoken":    {Set: map[string]any{"access_token": nil}},
		"badidtoken": {IDToken: &iam.Forgery{Signature: "bad"}},
	} {
		w := newWorld(t, iam.Settings{Rotate: true})
		c := w.account(name)
		given := string(c.RefreshToken.Reveal())
		fault.Path, fault.Times = "token", 1
		w.idp.Fail(fault)
		reply := w.must(w.agent, w.gen(name, "refresh", nil).SetObject("config", c.Object()))
		got := reply.Object("config").Text("refresh_token")
		if got == given || got != w.tokenInMemory(w.agent, name) {
			t.Errorf("%s: refresh token %q", name, got)
		}
		w.must(w.agent, tokenFor(name))
		// If only an access token is wanted, there is nothing to keep.
		c.RefreshToken = secret.FromString(w.refreshToken())
		w.idp.Fail(fault)
		r := w.gen(name+"2", "refresh", func(r *cjson.Object) { r.SetInt("only_at", 1) }).SetObject("config", c.Object())
		if reply := ask(w.agent, r); reply.Text("status") != "failure" {
			t.Errorf("%s: answered %s", name, reply.Compact())
		}
	}
}
