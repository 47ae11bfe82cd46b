package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
)

// aside moves the directory of the account files away until back is called, as if a file server were down. It works for
// root as well.
func (w *world) aside() (back func()) {
	if err := os.Rename(w.dir, w.dir+"-aside"); err != nil {
		w.Fatal(err)
	}
	return func() {
		if err := os.Rename(w.dir+"-aside", w.dir); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) warning(name string) string {
	return w.must(w.agent, tokenFor(name)).Text("warning")
}

// If a new refresh token cannot be written, everyone who gets a token is told, and it is written as soon as possible.
func TestUnsavedIsWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{Rotate: true})
		path := w.load("later")
		l := w.agent.accounts.find("later")
		if got := w.warning("later"); got != "" || l.fileNow().retrying {
			t.Errorf("warned of nothing: %q", got)
		}
		back := w.aside()
		reply := w.must(w.agent, forced("later"))
		text := reply.Text("warning")
		for _, part := range []string{`the new refresh token of account "later" is in the agent's memory only: `, path, "no such", "Put the file back"} {
			if !strings.Contains(text, part) {
				t.Errorf("%q does not tell %q", text, part)
			}
		}
		if expires, _ := reply.Int("expires_at"); expires == 0 || w.warning("later") != text {
			t.Errorf("answered %s, then %q", reply.Compact(), w.warning("later"))
		}
		time.Sleep(10 * time.Minute)
		if n := strings.Count(w.log.String(), "memory only"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		inMemory := w.tokenInMemory(w.agent, "later")
		back()
		time.Sleep(savePause)
		synctest.Wait()
		if w.tokenInFile(path) != inMemory {
			t.Error("the refresh token is not in the file")
		}
		if got := w.warning("later"); got != "" || l.fileNow().retrying {
			t.Errorf("still warned: %q", got)
		}
	})
}

// While the agent is locked the timer rests. Unlocking resumes it.
func TestUnsavedWhileLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{Rotate: true})
		path := w.load("rests")
		back := w.aside()
		w.must(w.agent, forced("rests"))
		inMemory := w.tokenInMemory(w.agent, "rests")
		w.must(w.agent, askRequest(lockWith))
		back()
		time.Sleep(time.Hour)
		if w.tokenInFile(path) == inMemory {
			t.Error("a locked agent has written")
		}
		w.must(w.agent, askRequest(unlockWith))
		synctest.Wait()
		if w.tokenInFile(path) != inMemory {
			t.Error("the refresh token is not in the file")
		}
	})
}

// The timer of a removed account ends.
func TestUnsavedRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{Rotate: true})
		w.load("goes")
		defer w.aside()()
		w.must(w.agent, forced("goes"))
		l := w.agent.accounts.find("goes")
		w.must(w.agent, cjson.New().SetText("request", "remove").SetText("account", "goes"))
		time.Sleep(2 * savePause)
		if l.fileNow().retrying {
			t.Error("the timer goes on")
		}
	})
}

// What the user does to the file in the meantime stays, and the warning says what the user can do.
func TestUnsavedAndUser(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(w *world, path string)
		told   string
		healed bool // the agent itself writes into it
	}{
		{"restored from an older copy", func(w *world, path string) {}, "", true},
		{"deleted", func(w *world, path string) { os.Remove(path) }, "make a new one:  oidc-gen changed", false},
		{"another login", func(w *world, path string) { w.write(path, w.account("changed")) }, "someone else has put another refresh token into it. To use that one:  oidc-add -r changed", false},
		{"another password, by C's oidc-gen", func(w *world, path string) { w.writeAs(path, crypt.FormatC, w.read(path)) }, "Tell the agent the new one:  oidc-add -f changed", false},
		{"rubbish", func(w *world, path string) { os.WriteFile(path, []byte("rubbish"), 0o600) }, "tries again by itself", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := bubbleWorld(t, iam.Settings{Rotate: true})
			path := w.load("changed")
			back := w.aside()
			w.must(w.agent, forced("changed"))
			back()
			c.change(w, path)
			before, _ := os.ReadFile(path)
			time.Sleep(time.Hour)
			if got := w.warning("changed"); !strings.Contains(got, c.told) || c.healed != (got == "") {
				t.Errorf("%s: warned %q", c.name, got)
			}
			if after, _ := os.ReadFile(path); string(after) == string(before) == c.healed {
				t.Errorf("%s: the file was %q and is %q", c.name, before, after)
			}
		})
	}
}

// writeAs encrypts an account's file in another format, under another password.
func (w *world) writeAs(path string, format crypt.Format, c *account.Account) {
	w.Helper()
	key, err := crypt.NewKey(fileKeyPassword(), format)
	if err != nil {
		w.Fatal(err)
	}
	data, err := key.Encrypt(w.Context(), c.Object().Compact())
	if err == nil {
		err = account.WriteFile(path, data)
	}
	if err != nil {
		w.Fatal(err)
	}
}

// Without a key there is nothing to try again, and the warning says what to do.
func TestUnsavedWithoutKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	c := w.account("nokey")
	w.must(w.agent, addRequest(c, ""))
	if got := w.warning("nokey"); !strings.Contains(got, "load the account with a password source") {
		t.Errorf("warned %q", got)
	}
	if w.agent.accounts.find("nokey").fileNow().retrying {
		t.Error("a timer for nothing")
	}
	path := filepath.Join(w.dir, "nokey")
	w.write(path, c)
	w.must(w.agent, saved("nokey", path))
	if got := w.warning("nokey"); got != "" || w.tokenInFile(path) != w.tokenInMemory(w.agent, "nokey") {
		t.Errorf("still warned: %q", got)
	}
}
