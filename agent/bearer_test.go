package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
)

// bearerWorld is a world in a bubble, where tokens live for 100 s, and an account whose token is kept in a file.
func bearerWorld(t *testing.T) (w *world, path string) {
	t.Helper()
	w = bubbleWorld(t, iam.Settings{AccessTokenLifetime: 100 * time.Second})
	t.Cleanup(func() { w.agent.dropBearers("demo") })
	w.load("demo")
	path = filepath.Join(t.TempDir(), "bt")
	w.must(w.agent, bearerRequest("demo", path))
	return w, path
}

func bearerRequest(name, path string) *cjson.Object {
	return cjson.New().SetText("request", "bearer_file").SetText("account", name).SetText("file", path)
}

// inFile returns the token in a file, or "" if there is no file. A file that others may read fails the test.
func (w *world) inFile(path string) string {
	w.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	info, statErr := os.Lstat(path)
	if err != nil || statErr != nil || info.Mode() != 0o600 {
		w.Errorf("%v, %v, %v", err, statErr, info)
	}
	return strings.TrimSuffix(string(text), "\n")
}

// wantBearer fails unless the token in the file is one that the provider accepts.
func (w *world) wantBearer(path string) {
	w.Helper()
	if token := w.inFile(path); token == "" || w.post("introspect", map[string][]string{"token": {token}})["active"] != true {
		w.Errorf("the token in the file is %q", token)
	}
}

func (w *world) status() string {
	w.Helper()
	return w.must(w.agent, cjson.New().SetText("request", "status")).Text("info")
}

// The file holds a valid token at any time, at the cost of one grant per token.
func TestBearerFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, path := bearerWorld(t)
		w.idp.ForgetRequests()
		for range 1000 {
			time.Sleep(time.Second)
			synctest.Wait()
			w.wantBearer(path)
		}
		if w.grants() != 12 { // every 80 s
			t.Errorf("%d grants", w.grants())
		}
		if text := w.status(); !strings.Contains(text, "Token file of demo: "+path+", valid until ") {
			t.Error(text)
		}
		// A client gets the same token. One that a client has forced comes into the file in due time.
		if reply := w.must(w.agent, tokenFor("demo")); reply.Text("access_token") != w.inFile(path) {
			t.Error("the file holds another token")
		}
		w.idp.ForgetRequests()
		fetched := w.must(w.agent, forced("demo")).Text("access_token")
		time.Sleep(79 * time.Second)
		synctest.Wait()
		if w.inFile(path) != fetched || w.grants() != 1 {
			t.Errorf("another token, %d grants", w.grants())
		}
	})
}

// Everything that stops the keeping of a file removes it.
func TestBearerRemoved(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"remove":     func(w *world) { w.must(w.agent, askRequest(`{"request":"remove","account":"demo"}`)) },
		"remove all": func(w *world) { w.must(w.agent, askRequest(`{"request":"remove_all"}`)) },
		"end":        func(w *world) { w.agent.finish(w.Context()) },
		"lifetime":   func(w *world) { w.agent.setLifetime(w.agent.accounts.find("demo"), 10) },
		"replaced and removed": func(w *world) {
			w.agent.accounts.put(w.agent.newLoaded(w.account("demo")))
			w.must(w.agent, askRequest(`{"request":"remove","account":"demo"}`))
		},
		"deleted": func(w *world) {
			w.must(w.agent, cjson.New().SetText("request", "delete").SetObject("config", w.account("demo").Object()))
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, path := bearerWorld(t)
			w.wantBearer(path)
			end(w)
			time.Sleep(11 * time.Second)
			if w.inFile(path) != "" {
				t.Errorf("%s: the file is still there", name)
			}
			w.idp.ForgetRequests()
			time.Sleep(time.Hour)
			if w.grants() != 0 || w.inFile(path) != "" {
				t.Errorf("%s: %d grants afterwards", name, w.grants())
			}
		})
	}
}

// An agent that ends does not wait for ever for the provider, and no file appears afterwards.
func TestBearerAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, path := bearerWorld(t)
		w.agent.dropBearers("demo")
		time.Sleep(time.Hour)
		w.idp.Fail(iam.Fault{Path: "token", Delay: 5 * time.Second})
		go ask(w.agent, bearerRequest("demo", path))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.agent.finish(ctx)
		time.Sleep(time.Minute)
		if w.inFile(path) != "" {
			t.Error("a file comes after the end")
		}
	})
}

// A locked agent keeps no file. Unlocking brings it back, unless the account has gone in the meantime.
func TestBearerLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, path := bearerWorld(t)
		w.must(w.agent, askRequest(lockWith))
		if w.inFile(path) != "" {
			t.Error("a locked agent's file")
		}
		w.idp.ForgetRequests()
		time.Sleep(time.Hour)
		if w.grants() != 0 || w.inFile(path) != "" {
			t.Error("a locked agent is at work")
		}
		w.must(w.agent, askRequest(unlockWith))
		synctest.Wait()
		w.wantBearer(path)
		time.Sleep(time.Hour)
		synctest.Wait()
		w.wantBearer(path)
		w.agent.setLifetime(w.agent.accounts.find("demo"), 10)
		w.must(w.agent, askRequest(lockWith))
		time.Sleep(time.Hour)
		w.must(w.agent, askRequest(unlockWith))
		time.Sleep(time.Hour)
		if w.inFile(path) != "" || len(w.agent.allBearers()) != 0 {
			t.Error("the account is gone, and its file is there")
		}
	})
}

// A token that someone else has put there stays.
func TestBearerOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, path := bearerWorld(t)
		if err := os.WriteFile(path, []byte("theirs\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.must(w.agent, askRequest(`{"request":"remove","account":"demo"}`))
		if w.inFile(path) != "theirs" {
			t.Errorf("%q", w.inFile(path))
		}
	})
}

// If no new token is to be had, the old one stays until it expires, and no longer. The status says so, and the next
// token comes as soon as there is one.
func TestBearerFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, path := bearerWorld(t)
		old := w.inFile(path)
		w.idp.Fail(iam.Fault{Path: "token", Status: 503})
		time.Sleep(99 * time.Second)
		if w.inFile(path) != old {
			t.Error("the old token has gone before its end")
		}
		if text := w.status(); !strings.Contains(text, "last error, ") {
			t.Error(text)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if w.inFile(path) != "" {
			t.Error("an expired token in the file")
		}
		time.Sleep(bearerSoon)
		synctest.Wait()
		if text := w.status(); !strings.Contains(text, path+", not there; the last renewal failed: ") {
			t.Error(text)
		}
		reply := w.must(w.agent, cjson.New().SetText("request", "status_json")).Object("info").Texts("bearer_files")
		if len(reply) != 1 || !strings.Contains(reply[0], `"present":false,"error":"`) {
			t.Errorf("%q", reply)
		}
		w.idp.ForgetRequests()
		time.Sleep(time.Hour)
		if n := w.grants(); n < 100 || n > 120 {
			t.Errorf("%d grants in an hour", n)
		}
		w.idp.ClearFaults()
		time.Sleep(bearerLook)
		synctest.Wait()
		w.wantBearer(path)
		if text := w.status(); strings.Contains(text, "renewal failed") {
			t.Error(text)
		}
	})
}

// A slow provider is no failure: the file comes with its answer.
func TestBearerSlowProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, path := bearerWorld(t)
		w.must(w.agent, askRequest(lockWith))
		time.Sleep(time.Hour)
		w.idp.Fail(iam.Fault{Path: "token", Delay: 5 * time.Second})
		w.must(w.agent, askRequest(unlockWith))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		w.wantBearer(path)
		if text := w.log.String(); strings.Contains(text, "token file") {
			t.Error(text)
		}
	})
}

// The file holds a valid token whatever the clocks do; after a suspend, within half a minute.
func TestBearerClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, path := bearerWorld(t)
		var clock *bentClock
		set := func(change func()) { // not beside a timer, which enters the lock first
			w.agent.lock.mu.Lock()
			defer w.agent.lock.mu.Unlock()
			change()
		}
		set(func() { clock = w.bend() })
		for _, jump := range []time.Duration{-24 * time.Hour, 48 * time.Hour, -24 * time.Hour} {
			clock.jump(jump, 0)
			for range 300 {
				time.Sleep(time.Second)
				synctest.Wait()
				w.wantBearer(path)
			}
		}
		clock.jump(time.Hour, time.Hour) // asleep
		w.idp.MoveClock(time.Hour)
		time.Sleep(bearerLook)
		synctest.Wait()
		w.wantBearer(path)
	})
}

// A file or directory that someone removes comes back, and so does the token.
func TestBearerLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, path := bearerWorld(t)
		token := w.inFile(path)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(bearerLook)
		synctest.Wait()
		if w.inFile(path) != token {
			t.Errorf("%q", w.inFile(path))
		}
		dir := filepath.Dir(path)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(bearerLook)
		synctest.Wait()
		if text := w.status(); !strings.Contains(text, "no such file or directory") {
			t.Error(text)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(bearerLook)
		synctest.Wait()
		w.wantBearer(path)
	})
}

// A provider that does not say how long its tokens last is asked for a new one from time to time.
func TestBearerWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, path := bearerWorld(t)
		w.idp.Fail(iam.Fault{Path: "token", Set: map[string]any{"expires_in": nil}})
		time.Sleep(100 * time.Second)
		w.idp.ForgetRequests()
		time.Sleep(time.Hour)
		if w.grants() != 12 {
			t.Errorf("%d grants in an hour", w.grants())
		}
		w.wantBearer(path)
	})
}

// A token that lives for seconds only, issued at the very end of a second.
func TestBearerShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, path := bearerWorld(t)
		w.agent.dropBearers("demo")
		w.idp.Change(func(s *iam.Settings) { s.AccessTokenLifetime = 4 * time.Second })
		time.Sleep(time.Hour + 900*time.Millisecond)
		w.must(w.agent, bearerRequest("demo", path))
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			w.wantBearer(path)
		}
		if text := w.log.String(); strings.Contains(text, "expired") {
			t.Error(text)
		}
	})
}

// A provider that does not answer does not keep an expired token in the file.
func TestBearerSilentProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, path := bearerWorld(t)
		w.idp.Fail(iam.Fault{Path: "token", Delay: time.Minute})
		time.Sleep(100 * time.Second)
		synctest.Wait()
		if w.inFile(path) != "" {
			t.Error("an expired token in the file")
		}
		time.Sleep(time.Minute) // the provider's sleep ends
	})
}

func TestBearerRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.load("demo")
	w.load("other")
	c := w.account("asks")
	w.must(w.agent, addRequest(c, "").SetBool("confirm", true))
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(os.Symlink("nowhere", at("link")), os.WriteFile(at("profile"), []byte("PATH=/bin\nexport PATH\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	w.must(w.agent, bearerRequest("demo", at("taken")))
	w.must(w.agent, bearerRequest("demo", at("second")))
	w.must(w.agent, bearerRequest("demo", at("second")))
	for _, r := range []struct{ account, path, failure string }{
		{"nosuch", at("x"), "account not loaded"},
		{"asks", at("x"), "the user is asked before each token..."},
		{"demo", "relative", `token file "relative": an absolute path is needed`},
		{"other", at("sub/../taken"), `token file "` + at("taken") + `": it already holds the token of account "demo"`},
		{"demo", at("link"), `token file "` + at("link") + `": it is a symbolic link`},
		{"demo", at("profile"), `token file "` + at("profile") + `": it does not hold a token...`},
		{"demo", at("no/dir"), `token file "` + at("no/dir") + `": no such file or directory`},
	} {
		want(t, ask(w.agent, bearerRequest(r.account, r.path)), r.failure)
	}
	if text := w.status(); strings.Count(text, "Token file of ") != 2 || strings.Index(text, at("second")) > strings.Index(text, at("taken")) {
		t.Error(text)
	}
	w.must(w.agent, askRequest(`{"request":"remove","account":"demo"}`))
	if w.inFile(at("taken")) != "" || w.inFile(at("second")) != "" {
		t.Error("a file is left")
	}
	w.must(w.agent, bearerRequest("other", at("taken")))
	w.agent.dropBearers("demo")
	if w.inFile(at("taken")) == "" {
		t.Error("the file of another account was removed")
	}
	w.agent.settings.Confirm = true
	want(t, ask(w.agent, bearerRequest("other", at("taken"))), "the user is asked before each token...")
	w.agent.dropBearers("other")
}
