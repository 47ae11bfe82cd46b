package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

func askRequest(text string) *cjson.Object {
	o, err := cjson.Parse([]byte(text))
	if err != nil {
		panic(err)
	}
	return o
}

const lockWith, unlockWith = `{"request":"lock","password":"geheim"}`, `{"request":"unlock","password":"geheim"}`

func TestLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	path := w.load("locked")
	token := w.must(w.agent, tokenFor("locked", "scope", "openid")).Text("access_token")
	w.must(w.agent, askRequest(`{"request":"file_write","filename":"x","data":"note"}`))
	want(t, askText(w.agent, unlockWith), "Agent not locked")
	if info := w.must(w.agent, askRequest(lockWith)).Text("info"); info != "Agent locked" {
		t.Errorf("info %q", info)
	}
	l := w.agent.accounts.find("locked")
	for _, kept := range l.tokens {
		if _, err := w.agent.answerOf(kept); err == nil {
			t.Error("an access token can be opened")
		}
	}
	if _, err := w.agent.withSecrets(l); err == nil {
		t.Error("the secrets can be opened")
	}
	for _, h := range handlers {
		reply := ask(w.agent, cjson.New().SetText("request", h.name).SetText("account", "locked").SetText("password", "wrong"))
		switch h.name {
		case ipc.RequestCheck, ipc.RequestAccountInfo:
			if reply.Text("status") != "success" {
				t.Errorf("%s: %s", h.name, reply.Compact())
			}
		case ipc.RequestUnlock:
			want(t, reply, "wrong password")
		default:
			want(t, reply, "Agent locked")
		}
	}
	if info := w.must(w.agent, askRequest(unlockWith)).Text("info"); info != "Agent unlocked" {
		t.Errorf("info %q", info)
	}
	if got := w.must(w.agent, tokenFor("locked", "scope", "openid")).Text("access_token"); got != token {
		t.Error("the token is another one")
	}
	if got := w.must(w.agent, askRequest(`{"request":"file_read","filename":"x"}`)).Text("data"); got != "note" {
		t.Errorf("the note is %q", got)
	}
	w.must(w.agent, forced("locked"))
	if w.tokenInFile(path) != w.tokenInMemory(w.agent, "locked") {
		t.Error("the key of the file is lost")
	}
	w.agent.lock.inside.Wait() // until all who entered have left
	if strings.Contains(w.log.String(), "geheim") || strings.Contains(w.log.String(), "wrong\"") {
		t.Errorf("the log shows a password: %s", w.log)
	}
}

// Guessing gets slower, but after any number of wrong passwords the right one gets through within one request.
func TestUnlockDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		w.must(w.agent, askRequest(lockWith))
		for _, delay := range []time.Duration{0, 100, 400} {
			began := time.Now()
			want(t, askText(w.agent, `{"request":"unlock","password":"falsch"}`), "wrong password")
			if took := time.Since(began); took != delay*time.Millisecond {
				t.Errorf("took %v, want %v", took, delay*time.Millisecond)
			}
		}
		// The right password gets through behind a wrong one, and nobody else is held up.
		go askText(w.agent, `{"request":"unlock","password":"falsch"}`)
		synctest.Wait()
		go askText(w.agent, unlockWith)
		synctest.Wait()
		want(t, askText(w.agent, `{"request":"loaded_accounts"}`), "Agent locked")
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		w.must(w.agent, askRequest(`{"request":"loaded_accounts"}`))
		if w.agent.lock.failures != 0 {
			t.Errorf("%d failures are remembered", w.agent.lock.failures)
		}
	})
	for failures := range 1000 {
		if d := unlockDelay(failures); d > answerTimeout/2 || d < unlockDelay(failures-1) && failures > 0 {
			t.Fatalf("%v after %d failures", d, failures)
		}
	}
}

// Grants in progress end first: their refresh tokens would be lost.
func TestLockWaitsForGrants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{Rotate: true})
		path := w.load("atwork")
		last := w.tokenInFile(path)
		w.idp.Fail(iam.Fault{Path: "token", Delay: 5 * time.Second})
		waiting := make(chan *cjson.Object, 1)
		go func() { waiting <- ask(w.agent, forced("atwork")) }()
		time.Sleep(time.Second)
		began := time.Now()
		locked := make(chan *cjson.Object, 1)
		go func() { locked <- askText(w.agent, lockWith) }()
		synctest.Wait()
		want(t, ask(w.agent, tokenFor("atwork")), "Agent locked") // nobody enters any more
		// Requests to lock or unlock wait in the meantime, and need the password.
		others := make(chan *cjson.Object, 2)
		go func() { others <- askText(w.agent, lockWith) }()
		synctest.Wait()
		go func() { others <- askText(w.agent, `{"request":"unlock","password":"any"}`) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		busy := must(cjson.Parse(w.agent.answer(ctx, []byte(unlockWith))))
		want(t, busy, "someone else is locking or unlocking the agent: context deadline exceeded")
		if reply := <-locked; reply.Text("status") != "success" || time.Since(began) != 4*time.Second {
			t.Errorf("%s after %v", reply.Compact(), time.Since(began))
		}
		if reply := <-waiting; reply.Text("status") != "success" {
			t.Errorf("the caller got %s", reply.Compact())
		}
		want(t, <-others, "Agent locked")
		want(t, <-others, "wrong password")
		if w.tokenInFile(path) == last {
			t.Error("the new refresh token is not in the file")
		}
		w.idp.ClearFaults()
		w.must(w.agent, askRequest(unlockWith))
		w.must(w.agent, forced("atwork"))
	})
}

// A user who is thinking in front of a window does not keep the agent from being locked.
func TestLockClosesWindows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	const load, consent = "lockwindow", "lockconsent"
	w.write(filepath.Join(configDir(), load), w.account(load))
	w.must(w.agent, addRequest(w.account(consent), "").SetBool("confirm", true))
	waiting := make(chan *cjson.Object)
	for _, name := range []string{load, consent} {
		pipe(t, name)
		go func() { waiting <- ask(w.agent, tokenFor(name)) }()
		awaitQuestion(t, name)
	}
	w.must(w.agent, askRequest(lockWith))
	want(t, <-waiting, "Agent locked")
	want(t, <-waiting, "Agent locked")
}
