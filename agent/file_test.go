package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oidc-agent/crypt"
	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

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

// The agent adopts a new login from elsewhere.
func TestFileWithNewLogin(t *testing.T) {
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
}

// An older copy does not replace the token in memory, and whatever else the user has written stays.
func TestFileRestored(t *testing.T) {
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
	// The same if the provider sends no new token.
	w.idp.Change(func(s *iam.Settings) { s.Rotate = false })
	w.write(path, old)
	w.must(w.agent, forced("newlogin"))
	if w.tokenInFile(path) != w.tokenInMemory(w.agent, "newlogin") {
		t.Error("the file keeps the spent token")
	}
}

// A change of another field stays.
func TestFileEdited(t *testing.T) {
	w, path := rotating(t, "newlogin")
	c := w.read(path)
	c.AuthScope = "what the user wrote"
	w.write(path, c)
	w.must(w.agent, forced("newlogin"))
	if w.tokenInFile(path) != w.tokenInMemory(w.agent, "newlogin") || w.read(path).AuthScope != "what the user wrote" {
		t.Errorf("the file is %s", w.read(path).Object().Compact())
	}
}

// A file that the user has deleted is not written again.
func TestFileDeleted(t *testing.T) {
	w, path := rotating(t, "newlogin")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.must(w.agent, forced("newlogin"))
	w.must(w.agent, forced("newlogin"))
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there again")
	}
	if !strings.Contains(w.log.String(), "memory only") {
		t.Errorf("the log does not tell: %s", w.log)
	}
}

// A file under a password that the agent does not know is not touched; the next oidc-add brings the key.
func TestFileUnderOtherPassword(t *testing.T) {
	w, path := rotating(t, "newlogin")
	key, err := crypt.NewKey(secret.FromString("new password"), crypt.FormatScrypt)
	if err != nil {
		t.Fatal(err)
	}
	data, err := key.Encrypt(t.Context(), w.read(path).Object().Compact())
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
	r := addRequest(w.config("newlogin"), "").SetObject("file_key", cjson.New().SetText("file", path).SetSecret("key", key.Marshal()))
	if info := w.must(w.agent, r).Text("info"); info != "account already loaded." {
		t.Errorf("info %q", info)
	}
	text, err := key.Decrypt(t.Context(), must(os.ReadFile(path)))
	if err != nil {
		t.Fatal(err)
	}
	if c := must(account.Parse(text.Reveal())); string(c.RefreshToken.Reveal()) != w.tokenInMemory(w.agent, "newlogin") {
		t.Error("the refresh token is not in the file")
	}
}

// A file that cannot be read is not touched.
func TestFileDamaged(t *testing.T) {
	w, path := rotating(t, "newlogin")
	if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.must(w.agent, forced("newlogin"))
	if data, err := os.ReadFile(path); err != nil || string(data) != "rubbish" {
		t.Errorf("the file is %q, %v", data, err)
	}
	// The same if there is nothing to write: the agent cannot adopt a new login from it.
	w.idp.Change(func(s *iam.Settings) { s.Rotate = false })
	c := w.account("constant")
	path = filepath.Join(w.dir, "constant")
	w.write(path, c)
	w.must(w.agent, addRequest(c, path))
	if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.must(w.agent, forced("constant"))
	told := `account "constant": cannot read its file, using the refresh token in memory: ` + path + `: `
	if text := w.log.String(); !strings.Contains(text, told) {
		t.Errorf("the log does not tell: %s", text)
	}
}

// unwritable is a name that leaves no room for a lock or a new file beside it, so that even root cannot write.
var unwritable = strings.Repeat("x", 255)

// If the file cannot be written, the user is told, the token in memory stays in use, and the write is tried again.
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
	if !strings.Contains(w.log.String(), "memory only") {
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

// An unsaved token is not given up for the one in the file unless the provider refuses it.
func TestUnsavedStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	c := w.account("unsaved")
	path := filepath.Join(w.dir, "unsaved")
	w.must(w.agent, addRequest(c, "")) // no key: the new token is in memory only
	inMemory := w.tokenInMemory(w.agent, "unsaved")
	other := w.account("unsaved")
	w.write(path, other)
	want(t, ask(w.agent, saved("unsaved", path)), path+": someone else has put another refresh token into it")
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

// The end of the process, or of an account, is the last chance for an unsaved token.
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

// Nothing is written without the file's lock, which another agent may hold.
func TestLockedFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	c := w.account("lockedfile")
	path := filepath.Join(w.dir, "lockedfile")
	w.write(path, c)
	w.must(w.agent, addRequest(c, "")) // gets a new token, and has no key
	unlock, err := account.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := w.agent.accounts.find("lockedfile")
	if err := w.agent.setFile(ctx, l, keyOf(path)); !errors.Is(err, context.Canceled) {
		t.Errorf("setFile: %v", err)
	}
	if _, err := w.agent.exclusive(ctx, l); !errors.Is(err, context.Canceled) {
		t.Errorf("exclusive: %v", err)
	}
	if w.tokenInFile(path) != string(c.RefreshToken.Reveal()) {
		t.Error("the file was written")
	}
	unlock()
	w.must(w.agent, forced("lockedfile")) // the account's turn was given back
	if w.tokenInFile(path) != w.tokenInMemory(w.agent, "lockedfile") {
		t.Error("the file is not up to date")
	}
}
