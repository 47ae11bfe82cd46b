package main

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
)

// A token near its end is handed out at once and renewed in the background: once, and only if it is asked for.
func TestRenewAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{AccessTokenLifetime: 100 * time.Second})
		w.load("ahead")
		w.idp.ForgetRequests()
		w.idp.Fail(iam.Fault{Path: "token", Delay: 100 * time.Millisecond})
		old := w.must(w.agent, tokenFor("ahead")).Text("access_token")
		began := time.Now()
		check := func(after time.Duration, period string, grants int, isNew bool) {
			t.Helper()
			time.Sleep(time.Until(began.Add(after * time.Second)))
			asked := time.Now()
			for _, reply := range together(w.agent, 50, tokenFor("ahead", "min_valid_period", period)) {
				if (reply.Text("access_token") != old) != isNew {
					t.Fatalf("after %d s: answered %s", after, reply.Compact())
				}
			}
			if time.Since(asked) != 0 {
				t.Errorf("after %d s: waited for %v", after, time.Since(asked))
			}
			synctest.Wait()
			if w.grants() != grants {
				t.Errorf("after %d s: %d grants, want %d", after, w.grants(), grants)
			}
		}
		check(79, "0", 0, false)
		check(80, "0", 1, false)
		check(81, "0", 1, true)
		old = w.must(w.agent, tokenFor("ahead")).Text("access_token")
		time.Sleep(10 * time.Minute)
		if w.grants() != 1 {
			t.Errorf("%d grants, though nobody asked", w.grants())
		}
		// A provider that is away does not get a storm of requests.
		began = time.Now()
		w.must(w.agent, tokenFor("ahead"))
		old = w.must(w.agent, tokenFor("ahead")).Text("access_token")
		w.idp.ForgetRequests()
		w.idp.ClearFaults()
		w.idp.Fail(iam.Fault{Path: "token", Status: 503})
		check(80, "0", 1, false)
		check(89, "0", 1, false)
		check(90, "9", 2, false)
		check(99, "0", 2, false)
	})
}

// A client that comes during a renewal and needs a longer life shares that flight.
func TestRenewAheadJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{AccessTokenLifetime: 100 * time.Second})
		w.load("joined")
		w.idp.ForgetRequests()
		w.idp.Fail(iam.Fault{Path: "token", Delay: time.Second})
		time.Sleep(90 * time.Second)
		w.must(w.agent, tokenFor("joined"))
		w.must(w.agent, tokenFor("joined", "min_valid_period", "999")) // no token lasts as long
		if w.grants() != 1 {
			t.Errorf("%d grants", w.grants())
		}
	})
}

// Grants for different scopes run in parallel if the refresh token stays the same, and one after the other, in their
// order, if it is replaced.
func TestManyScopes(t *testing.T) {
	const n = 20
	for _, c := range []struct {
		name        string
		rotate, add bool
		took        time.Duration
	}{
		{"constant", false, false, 200 * time.Millisecond},
		{"not known yet", false, true, 400 * time.Millisecond},
		{"rotating", true, false, n * 200 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := bubbleWorld(t, iam.Settings{Rotate: c.rotate})
			w.must(w.agent, addRequest(w.account("scopes"), "").SetBool("plain_add", c.add))
			w.idp.ForgetRequests()
			w.idp.Fail(iam.Fault{Path: "token", Delay: 200 * time.Millisecond})
			began := time.Now()
			var all sync.WaitGroup
			var scopes, sent []string
			for i := range n {
				scopes = append(scopes, fmt.Sprintf("storage.read:/%d", i))
				all.Go(func() { w.must(w.agent, tokenFor("scopes", "scope", scopes[i])) })
				synctest.Wait()
			}
			all.Wait()
			for _, r := range w.idp.Requests() {
				if r.Path == "token" {
					sent = append(sent, r.Form().Get("scope"))
				}
			}
			if took := time.Since(began); took != c.took || w.presentedTwice() != "" && c.rotate {
				t.Errorf("%s: %v", c.name, took)
			}
			if c.rotate && !slices.Equal(sent, scopes) || len(sent) != n {
				t.Errorf("%s: asked for %q", c.name, sent)
			}
		})
	}
}

// Many clients that demand more than any token's life, and do not come in the same instant, still cause few grants.
func TestStragglers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		w.load("crowd")
		w.idp.ForgetRequests()
		w.idp.Fail(iam.Fault{Path: "token", Delay: 5 * time.Millisecond})
		demand := tokenFor("crowd", "min_valid_period", "99999999")
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 2 * time.Millisecond)
				w.must(w.agent, demand)
			})
		}
		all.Wait()
		if w.grants() > 3 {
			t.Errorf("%d grants for 100", w.grants())
		}
		// Clients that come one after the other each get a new one.
		time.Sleep(time.Second)
		w.idp.ForgetRequests()
		for range 3 {
			w.must(w.agent, demand)
		}
		if w.grants() != 3 {
			t.Errorf("%d grants for 3", w.grants())
		}
	})
}

// A thousand clients that ask for an expired token cause one grant.
func TestExpiredStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{Rotate: true, AccessTokenLifetime: time.Minute})
		w.load("thousand")
		w.idp.ForgetRequests()
		time.Sleep(time.Hour)
		for _, reply := range together(w.agent, 1000, tokenFor("thousand")) {
			if reply.Text("status") != "success" {
				t.Fatalf("answered %s", reply.Compact())
			}
		}
		if w.grants() != 1 {
			t.Errorf("%d grants", w.grants())
		}
	})
}

// A client that waits for a token of an account that is removed in the meantime starts no grant for it.
func TestRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.load("gone")
	l := w.agent.accounts.find("gone")
	w.must(w.agent, cjson.New().SetText("request", "remove").SetText("account", "gone"))
	before := w.grants()
	if _, err := w.agent.accessToken(t.Context(), l, tokenRequest{}); err == nil || w.grants() != before {
		t.Errorf("%v, %d grants", err, w.grants()-before)
	}
}
