package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

func TestWordSet(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"": "", "  ": "", "a": "a", "b a": "a b", " b  a b\ta ": "a b",
	} {
		if got := wordSet(words); got != want {
			t.Errorf("%q: got %q, want %q", words, got, want)
		}
	}
}

func (w *world) loaded() []string {
	return w.must(w.agent, cjson.New().SetText("request", "loaded_accounts")).Texts("info")
}

func TestRemove(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	for _, name := range []string{"remove1", "remove2", "remove3"} {
		w.must(w.agent, addRequest(w.account(name), ""))
	}
	remove := cjson.New().SetText("request", "remove").SetText("account", "remove2")
	w.must(w.agent, remove)
	if got := w.loaded(); len(got) != 2 || got[0] != "remove1" || got[1] != "remove3" {
		t.Errorf("loaded: %v", got)
	}
	want(t, ask(w.agent, remove), "account not loaded")
	want(t, askText(w.agent, `{"request":"remove"}`), "Bad Request: Have to provide shortname of the account config that should be removed.")
	w.must(w.agent, askRequest(`{"request":"remove_all"}`))
	if got := w.loaded(); len(got) != 0 {
		t.Errorf("loaded: %v", got)
	}
	w.must(w.agent, askRequest(`{"request":"remove_all"}`))
}

func TestLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		w.agent.settings.Lifetime = 50
		add := func(name string) *cjson.Object { return addRequest(w.account(name), "") }
		for _, c := range []struct {
			request *cjson.Object
			info    string
		}{
			{add("life-default"), "Lifetime set to 50 seconds"},
			{add("life-ever").SetInt("lifetime", 0), ""},
			{add("life-own").SetInt("lifetime", 100), "Lifetime set to 100 seconds"},
			{add("life-text").SetText("lifetime", "100"), "Lifetime set to 100 seconds"},
			{add("life-longer").SetInt("lifetime", 10), "Lifetime set to 10 seconds"},
			{add("life-longer").SetInt("lifetime", 200), "account already loaded. Lifetime set to 200 seconds."},
			{add("life-longer"), "account already loaded."},
			{add("life-freed").SetInt("lifetime", 10), "Lifetime set to 10 seconds"},
			{add("life-freed").SetInt("lifetime", 0), "account already loaded."},
			{add("life-century").SetInt("lifetime", 1<<62), "Lifetime set to 4611686018427387904 seconds"},
		} {
			if got := w.must(w.agent, c.request).Text("info"); got != c.info {
				t.Errorf("%s: info %q, want %q", c.request.Object("config").Text("name"), got, c.info)
			}
		}
		began := time.Now()
		for _, c := range []struct {
			after  time.Duration
			loaded int
		}{{49, 7}, {51, 6}, {99, 6}, {101, 4}, {199, 4}, {201, 3}, {1e6, 3}} {
			time.Sleep(time.Until(began.Add(c.after * time.Second)))
			if got := w.loaded(); len(got) != c.loaded {
				t.Errorf("after %d s: loaded %v, want %d", c.after, got, c.loaded)
			}
		}
		w.must(w.agent, askRequest(`{"request":"remove_all"}`))
	})
}

// The end of a replaced account's lifetime does not remove its successor.
func TestLifetimeOfReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		old := w.agent.newLoaded(w.config("replaced"))
		w.agent.accounts.put(old)
		w.agent.setLifetime(old, 10)
		now := w.agent.newLoaded(w.config("replaced"))
		w.agent.accounts.put(now)
		w.agent.setLifetime(old, 10) // too late
		time.Sleep(time.Minute)
		if w.agent.accounts.find("replaced") != now || len(w.loaded()) != 1 {
			t.Errorf("loaded %v", w.loaded())
		}
		if len(w.agent.forget(t.Context(), func(l *loaded) bool { return l == old })) != 0 {
			t.Error("an account was removed that is not there")
		}
	})
}

// The account of a new login is removed when the one before would have been.
func TestLifetimeOfNewLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{AutoApprove: true})
		w.must(w.agent, addRequest(w.account("inherits"), "").SetInt("lifetime", 10))
		w.finishDevice("inherits", nil)
		time.Sleep(9 * time.Second)
		if len(w.loaded()) != 1 {
			t.Error("removed too early")
		}
		time.Sleep(2 * time.Second)
		if text := w.log.String(); !strings.Contains(text, `account "inherits": its lifetime is over, removed`) {
			t.Errorf("not removed: %s", text)
		}
	})
}

// An unsaved refresh token gets a last chance when the account's lifetime is over.
func TestLifetimeFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{Rotate: true})
		path := w.load("lifeflush")
		l := w.agent.accounts.find("lifeflush")
		l.file.path = path + "-elsewhere"
		w.must(w.agent, forced("lifeflush"))
		inMemory := w.tokenInMemory(w.agent, "lifeflush")
		l.file.path = path
		w.agent.setLifetime(l, 1)
		time.Sleep(2 * time.Second)
		if len(w.loaded()) != 0 || w.tokenInFile(path) != inMemory {
			t.Errorf("loaded %v, the file has %q", w.loaded(), w.tokenInFile(path))
		}
	})
}

// Locking the agent waits for that last write.
func TestLifetimeAndLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{Rotate: true})
		path := w.load("lifelock")
		back := w.aside()
		w.must(w.agent, forced("lifelock"))
		back()
		inMemory := w.tokenInMemory(w.agent, "lifelock")
		unlock := must(account.Lock(t.Context(), path))
		w.agent.setLifetime(w.agent.accounts.find("lifelock"), 1)
		time.Sleep(time.Second)
		synctest.Wait()
		locked := make(chan *cjson.Object)
		go func() { locked <- askText(w.agent, lockWith) }()
		time.Sleep(time.Second)
		unlock()
		if reply := <-locked; reply.Text("status") != "success" || w.tokenInFile(path) != inMemory {
			t.Errorf("%s, the file has %q", reply.Compact(), w.tokenInFile(path))
		}
	})
}

// Several clients that add the same account at once do not present its refresh token twice, and load it once.
func TestAddTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	c := w.account("together")
	infos := map[string]int{}
	for _, reply := range together(w.agent, 20, addRequest(c, "").SetInt("lifetime", 60)) {
		infos[reply.Text("status")+" "+reply.Text("info")[:8]]++
	}
	if infos["success Lifetime"] != 1 || infos["success account "] != 19 || w.grants() != 1 || len(w.loaded()) != 1 {
		t.Errorf("answered %v, %d grants, loaded %v", infos, w.grants(), w.loaded())
	}
}

// An account that a login loads while an add still waits for the provider is newer, and stays.
func TestLoginOvertakesAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{AutoApprove: true})
		c := w.account("overtaken")
		w.idp.Fail(iam.Fault{Path: "token", Delay: 5 * time.Second, Times: 1})
		added := make(chan *cjson.Object)
		go func() { added <- ask(w.agent, addRequest(c, "")) }()
		synctest.Wait()
		newer := w.finishDevice("overtaken", nil)
		if info := (<-added).Text("info"); info != "account already loaded." {
			t.Errorf("info %q", info)
		}
		if w.tokenInMemory(w.agent, "overtaken") != string(newer.RefreshToken.Reveal()) || len(w.loaded()) != 1 {
			t.Error("the login's account was replaced by an older one")
		}
	})
}

// An account that does not work is not loaded, unless the client asks for no check.
func TestAddChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	c := w.account("checked")
	dead := string(c.RefreshToken.Reveal())
	w.idp.Revoke(dead)
	reply := ask(w.agent, addRequest(c, ""))
	want(t, reply, "invalid_token: Refresh token for value...")
	if reply.Text("info") == "" || len(w.loaded()) != 0 {
		t.Errorf("answered %s, loaded %v", reply.Compact(), w.loaded())
	}
	w.must(w.agent, addRequest(c, "").SetBool("plain_add", true))
	if len(w.loaded()) != 1 {
		t.Errorf("loaded %v", w.loaded())
	}
	want(t, askText(w.agent, `{"request":"add","pw_entry":{"account":"demo","type":8}}`), "Bad Request: no account in 'config'")
	c = w.account("nowhere")
	c.IssuerURL = "http://127.0.0.1:1/"
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	reply = must(cjson.Parse(w.agent.answer(ctx, addRequest(c, "").Compact())))
	want(t, reply, "could not connect to 127.0.0.1:1: connection refused")
	c = w.account("otherissuer")
	c.ConfigEndpoint = w.idp.Issuer() + ".well-known/openid-configuration"
	c.IssuerURL = "https://other.example/"
	want(t, ask(w.agent, addRequest(c, "")), "discovery at "+`"`+c.ConfigEndpoint+`": the provider calls itself...`)
	c.CertPath = "/nosuch"
	want(t, ask(w.agent, addRequest(c, "")), "CA file: open /nosuch: no such file or directory")
	want(t, ask(w.agent, addRequest(w.account("badkey"), "").SetObject("file_key", cjson.New().SetText("file", "/x").SetText("key", "x"))),
		`key of "/x": not the text of a file key`)
}

// The secrets of a loaded account, and what the agent has no field for, are sealed and come back complete.
func TestSecretsSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	c, err := account.FromObject(w.account("sealed").Object().
		SetRaw("mytoken_profile", []byte(`{"a":1}`)).SetText("password", "pw"))
	if err != nil {
		t.Fatal(err)
	}
	whole := string(c.Object().SetText("password", "").Compact())
	l := w.agent.newLoaded(c)
	for _, word := range []string{clientSecret, "rat-of-sealed", `"pw"`} {
		if open := string(l.config.Object().Compact()); strings.Contains(open, word) {
			t.Errorf("%q is not sealed: %s", word, open)
		}
	}
	for range 2 {
		open, err := w.agent.withSecrets(l)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(open.Object().Compact()); got != whole {
			t.Errorf("got\n%s\nwant\n%s", got, whole)
		}
		open.Wipe()
	}
}

// The number of remembered refresh tokens is bounded.
func TestTokensRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	l := w.agent.newLoaded(w.config("tokens"))
	for n := range 2 * maxTokens {
		w.agent.renewLocked(l, secret.FromString(fmt.Sprint(n)))
	}
	last := digestOf(secret.FromString(fmt.Sprint(2*maxTokens - 1)))
	if l.file.current() != last || len(l.file.tokens) != maxTokens {
		t.Errorf("%d are remembered, the last is %v", len(l.file.tokens), l.file.current())
	}
}

// A new login knows which refresh tokens are older than its own.
func TestInheritTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.load("older")
	old, l := w.agent.accounts.find("older"), w.agent.newLoaded(w.account("older"))
	want := append(slices.Clone(old.file.tokens), l.file.current())
	w.agent.replace(l)
	if got := l.file.tokens; !slices.Equal(got, want) || l.fileNow().unsaved() {
		t.Errorf("got %v, want %v", got, want)
	}
}

// All requests about an account may run at once. This test is for the race detector.
func TestAccountsConcurrently(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	path := w.load("busy")
	c := w.read(path)
	requests := []*cjson.Object{
		forced("busy"), tokenFor("busy"), tokenFor("busy", "scope", "openid", "min_valid_period", "-1"),
		addRequest(c, path).SetInt("lifetime", 100), saved("busy", path),
		cjson.New().SetText("request", "remove").SetText("account", "busy"),
		askRequest(`{"request":"status"}`), askRequest(`{"request":"status_json"}`), askRequest(`{"request":"account_info"}`),
		askRequest(`{"request":"file_write","filename":"x","data":"eA"}`), askRequest(`{"request":"file_read","filename":"x"}`),
		askRequest(`{"request":"file_remove","filename":"x"}`), w.gen("busy2", "device", nil),
		askRequest(`{"request":"remove_all"}`),
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 3 * len(requests) {
				ask(w.agent, requests[(n*(2*i+1)+i)%len(requests)])
			}
		})
	}
	all.Wait()
	if w.presentedTwice() != "" {
		t.Error("a refresh token was used twice")
	}
}
