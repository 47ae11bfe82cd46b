package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"oidc-agent/crypt"
	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// alive uses a refresh token as nobody did before, so that its family dies if it was spent.
func (w *world) alive(token string) bool {
	a := w.newAgent()
	c := w.config("alive")
	c.RefreshToken = secret.FromString(token)
	return ask(a, addRequest(c, "")).Text("status") == "success"
}

// presentedTwice looks for a refresh token that was used twice.
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

// The new refresh token is on disk before the access token is handed out, and whoever comes after a crash finds
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

// Different scopes have flights of their own, which must not present one token twice.
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

// Once a provider has replaced a refresh token it is never again taken for one that does not.
func TestRotationNowAndThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.load("nowandthen")
	l := w.agent.accounts.find("nowandthen")
	if !l.hasConstantToken() {
		t.Error("a token that stays is not known as such")
	}
	w.idp.Change(func(s *iam.Settings) { s.Rotate = true })
	w.must(w.agent, forced("nowandthen"))
	w.idp.Change(func(s *iam.Settings) { s.Rotate = false })
	w.must(w.agent, forced("nowandthen"))
	if l.hasConstantToken() {
		t.Error("a token that was replaced once is taken for constant")
	}
}

// The answer to a grant that was overtaken by another must not bring the old token back.
func TestRotateAnswersOutOfOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	path := w.load("order")
	l := w.agent.accounts.find("order")
	used := l.current
	w.agent.rotate(t.Context(), l, used, secret.FromString("new"), false)
	w.agent.rotate(t.Context(), l, used, secret.FromString(w.tokenInFile(path)), false)
	w.agent.rotate(t.Context(), l, used, secret.Secret{}, false)
	if got := w.tokenInMemory(w.agent, "order"); got != "new" || w.tokenInFile(path) != "new" {
		t.Errorf("memory has %q, the file %q", got, w.tokenInFile(path))
	}
}

// An answer that is no good may hold the only refresh token that is.
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
	// At add, where nobody has a key: memory alone has it, so the account stays.
	c := w.account("badadd")
	w.idp.Fail(iam.Fault{Path: "token", Times: 1, Set: map[string]any{"access_token": nil}})
	want(t, ask(w.agent, addRequest(c, "")), "provider answered with HTTP status 200...")
	w.must(w.agent, tokenFor("badadd"))
}

func saved(name, path string) *cjson.Object {
	return cjson.New().SetText("request", "saved").SetText("account", name).
		SetText("file", path).SetSecret("key", fileKey().Marshal())
}

// A refresh while the user is still typing the new file's password: the file is written when `saved` comes.
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

// Two login nodes share a directory, and the provider kills a family whose spent token comes back.
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

// The same where the provider begins to rotate only now: both agents take the token for constant.
func TestTwoAgentsLateRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	path := w.load("late")
	other := w.newAgent()
	w.must(other, addRequest(w.read(path), path))
	w.idp.Change(func(s *iam.Settings) { s.Rotate = true })
	for range 3 {
		w.must(w.agent, forced("late"))
		w.must(other, forced("late"))
	}
	if !w.alive(w.tokenInFile(path)) {
		t.Error("the file's refresh token is dead")
	}
}

// Somebody else changes the file while the agent has the account.
func TestFileChangedMeanwhile(t *testing.T) {
	t.Parallel()
	t.Run("a new login elsewhere is taken over", func(t *testing.T) {
		w, path := rotating(t, "newlogin")
		c := w.account("newlogin")
		w.write(path, c)
		w.must(w.agent, forced("newlogin"))
		if got := w.lastGrant().Get("refresh_token"); got != string(c.RefreshToken.Reveal()) {
			t.Errorf("the old refresh token was used: %q", got)
		}
		if w.tokenInFile(path) != w.tokenInMemory(w.agent, "newlogin") {
			t.Error("the file is not up to date")
		}
	})
	t.Run("an older copy is not believed", func(t *testing.T) {
		w, path := rotating(t, "newlogin")
		old := w.read(path)
		w.must(w.agent, forced("newlogin"))
		old.AuthScope = "what the user wrote"
		w.write(path, old)
		w.must(w.agent, forced("newlogin"))
		w.must(w.agent, forced("newlogin"))
		if w.tokenInFile(path) != w.tokenInMemory(w.agent, "newlogin") || w.read(path).AuthScope != "what the user wrote" {
			t.Errorf("the file is %s", w.read(path).Object().Compact())
		}
	})
	t.Run("another member", func(t *testing.T) {
		w, path := rotating(t, "newlogin")
		c := w.read(path)
		c.AuthScope = "what the user wrote"
		w.write(path, c)
		w.must(w.agent, forced("newlogin"))
		if w.tokenInFile(path) != w.tokenInMemory(w.agent, "newlogin") || w.read(path).AuthScope != "what the user wrote" {
			t.Errorf("the file is %s", w.read(path).Object().Compact())
		}
	})
	t.Run("deleted", func(t *testing.T) {
		w, path := rotating(t, "newlogin")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		w.must(w.agent, forced("newlogin"))
		w.must(w.agent, forced("newlogin"))
		if _, err := os.Stat(path); err == nil {
			t.Error("the file is there again")
		}
		if !strings.Contains(w.log.String(), "the new refresh token is in memory only") {
			t.Errorf("the log does not tell: %s", w.log)
		}
	})
	t.Run("another password", func(t *testing.T) {
		w, path := rotating(t, "newlogin")
		key, err := crypt.NewKey(secret.FromString("new password"), crypt.FormatScrypt)
		if err != nil {
			t.Fatal(err)
		}
		data, err := key.Encrypt(w.read(path).Object().Compact())
		if err != nil {
			t.Fatal(err)
		}
		if err := account.WriteFile(path, data); err != nil {
			t.Fatal(err)
		}
		w.must(w.agent, forced("newlogin"))
		now, err := os.ReadFile(path)
		if err != nil || string(now) != string(data) {
			t.Errorf("the file was overwritten, %v", err)
		}
		// The next oidc-add brings the key.
		r := addRequest(w.config("newlogin"), "").SetObject("file_key", cjson.New().SetText("file", path).SetSecret("key", key.Marshal()))
		if info := w.must(w.agent, r).Text("info"); info != "account already loaded." {
			t.Errorf("info %q", info)
		}
		text, err := key.Decrypt(must(os.ReadFile(path)))
		if err != nil {
			t.Fatal(err)
		}
		if c := must(account.Parse(text.Reveal())); string(c.RefreshToken.Reveal()) != w.tokenInMemory(w.agent, "newlogin") {
			t.Error("the refresh token is not in the file")
		}
	})
	t.Run("damaged", func(t *testing.T) {
		w, path := rotating(t, "newlogin")
		if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.must(w.agent, forced("newlogin"))
		if data, err := os.ReadFile(path); err != nil || string(data) != "rubbish" {
			t.Errorf("the file is %q, %v", data, err)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// rotating is a world with a rotating provider and one account in a file.
func rotating(t *testing.T, name string) (*world, string) {
	t.Helper()
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	return w, w.load(name)
}

// unwritable is a name that leaves no room for a lock or a new file beside it, so that even root cannot write.
var unwritable = strings.Repeat("x", 255)

// Where the file cannot be written the user is told, the token in memory stays good, and the write is tried again.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	path, normal := filepath.Join(w.dir, unwritable), filepath.Join(w.dir, "normal")
	c := w.account("unwritable")
	w.write(normal, c)
	if err := os.Rename(normal, path); err != nil {
		t.Fatal(err)
	}
	info := w.must(w.agent, addRequest(c, path)).Text("info")
	if !strings.HasPrefix(info, "The provider gave a new refresh token, and it is not saved: ") || !strings.Contains(info, "file name too long") {
		t.Errorf("info %q", info)
	}
	if !strings.Contains(w.log.String(), "is in memory only") {
		t.Errorf("the log does not tell: %s", w.log)
	}
	for range 3 {
		w.must(w.agent, forced("unwritable"))
	}
	if err := os.Rename(path, normal); err != nil {
		t.Fatal(err)
	}
	w.agent.accounts.find("unwritable").file.path = normal
	w.must(w.agent, forced("unwritable"))
	if w.tokenInFile(normal) != w.tokenInMemory(w.agent, "unwritable") {
		t.Error("the file is not up to date")
	}
	if w.presentedTwice() != "" {
		t.Error("a refresh token was used twice")
	}
}

// A token that is not saved is not given up for one in the file unless the provider refuses it.
func TestUnsavedStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	c := w.account("unsaved")
	path := filepath.Join(w.dir, "unsaved")
	w.must(w.agent, addRequest(c, "")) // no key: what comes is in memory only
	inMemory := w.tokenInMemory(w.agent, "unsaved")
	other := w.account("unsaved")
	w.write(path, other)
	want(t, ask(w.agent, saved("unsaved", path)), path+": somebody else has put another refresh token into it")
	w.must(w.agent, forced("unsaved"))
	if got := w.lastGrant().Get("refresh_token"); got != inMemory {
		t.Errorf("used %q, not that of memory", got)
	}
	if got := w.tokenInFile(path); got != string(other.RefreshToken.Reveal()) {
		t.Errorf("the file has %q now", got)
	}
	w.idp.Revoke(w.tokenInMemory(w.agent, "unsaved"))
	w.must(w.agent, forced("unsaved"))
	if w.tokenInFile(path) != w.tokenInMemory(w.agent, "unsaved") {
		t.Error("the file is not up to date")
	}
}

// invalid_grant with a file that has changed: all flights go on with the new token, none of them twice.
func TestNewLoginElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	path := w.load("elsewhere")
	l := w.agent.accounts.find("elsewhere")
	dead := w.tokenInFile(path)
	c := w.account("elsewhere")
	w.write(path, c)
	w.idp.Revoke(dead)
	w.idp.ForgetRequests()
	// As if the refusal of two flights came when the file had just changed.
	for _, flight := range []string{"first", "second"} {
		if !w.agent.renewed(l, digestOf(secret.FromString(dead))) {
			t.Errorf("the %s refused flight does not see the new token", flight)
		}
	}
	if w.agent.renewed(l, digestOf(c.RefreshToken)) {
		t.Error("a refusal of the new token is no reason to try it again")
	}
	w.must(w.agent, forced("elsewhere"))
	if w.grants() != 1 {
		t.Errorf("%d grants", w.grants())
	}
}

// The end of the process, or of an account, is the last chance for a token that is not saved.
func TestLastFlush(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"finish", "remove", "remove_all"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, iam.Settings{Rotate: true})
			path := w.load("last")
			hidden := path + "-hidden"
			if err := os.Rename(path, hidden); err != nil {
				t.Fatal(err)
			}
			w.must(w.agent, forced("last"))
			inMemory := w.tokenInMemory(w.agent, "last")
			if err := os.Rename(hidden, path); err != nil {
				t.Fatal(err)
			}
			if end == "finish" {
				w.agent.finish(t.Context())
				want(t, askText(w.agent, `{"request":"loaded_accounts"}`), "Agent locked")
			} else {
				w.must(w.agent, cjson.New().SetText("request", end).SetText("account", "last"))
			}
			if w.tokenInFile(path) != inMemory {
				t.Error("the refresh token is not in the file")
			}
		})
	}
}
