package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// claims decodes an access token.
func claims(t *testing.T, reply *cjson.Object) map[string]any {
	t.Helper()
	parts := strings.Split(reply.Text("access_token"), ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT in %s", reply.Compact())
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTokenCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.load("cache")
	for _, c := range []struct {
		name   string
		more   []string
		grants int
	}{
		{"as add left it", nil, 0},
		{"scope", []string{"scope", "openid storage.read:/"}, 1},
		{"the same scope", []string{"scope", "openid storage.read:/"}, 0},
		{"a scope is a set", []string{"scope", " storage.read:/  openid openid"}, 0},
		{"another scope", []string{"scope", "openid"}, 1},
		{"audience", []string{"audience", "https://a.example b"}, 1},
		{"an audience is a set", []string{"audience", "b https://a.example"}, 0},
		{"scope and audience", []string{"scope", "openid", "audience", "b"}, 1},
		{"neither", nil, 0},
		{"forced", []string{"min_valid_period", "-1"}, 1},
		{"another issuer's spelling", []string{"account", "", "issuer", strings.TrimSuffix(w.idp.Issuer(), "/")}, 0},
	} {
		before := w.grants()
		reply := w.must(w.agent, tokenFor("cache", c.more...))
		if got := w.grants() - before; got != c.grants {
			t.Errorf("%s: %d grants, want %d", c.name, got, c.grants)
		}
		if reply.Text("issuer") != w.idp.Issuer() {
			t.Errorf("%s: issuer %q", c.name, reply.Text("issuer"))
		}
	}
}

// A scope of the user is sent to the provider as it is. Without one none is sent, and the token has all that was
// granted.
func TestScopeAndAudienceSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.load("scopes")
	reply := w.must(w.agent, forced("scopes"))
	if form := w.lastGrant(); form.Has("scope") || form.Has("audience") || form.Has("resource") {
		t.Errorf("sent %v", form)
	}
	if got := claims(t, reply)["scope"]; wordSet(got.(string)) != wordSet(allScopes) {
		t.Errorf("granted %q", got)
	}
	reply = w.must(w.agent, tokenFor("scopes", "scope", "storage.read:/a openid"))
	if form := w.lastGrant(); form.Get("scope") != "storage.read:/a openid" {
		t.Errorf("sent %v", form)
	}
	if got := claims(t, reply)["scope"]; wordSet(got.(string)) != "openid storage.read:/a" {
		t.Errorf("granted %q", got)
	}
	reply = w.must(w.agent, tokenFor("scopes", "audience", "https://a.example b"))
	if form := w.lastGrant(); form.Get("audience") != "https://a.example b" || form.Has("scope") {
		t.Errorf("sent %v", form)
	}
	if got := claims(t, reply)["aud"]; len(got.([]any)) != 2 {
		t.Errorf("audience %v", got)
	}
	reply = ask(w.agent, tokenFor("scopes", "scope", "phone"))
	want(t, reply, "invalid_scope: Up-scoping is not allowed.")
	if info := reply.Text("info"); !strings.Contains(info, "oidc-gen -m scopes") {
		t.Errorf("hint %q", info)
	}
}

// A cached token is given out while it is valid for longer than asked, according to the provider's expires_in.
func TestMinValidPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{AccessTokenLifetime: 100 * time.Second})
		w.load("valid")
		w.idp.ForgetRequests()
		began := time.Now()
		for _, c := range []struct {
			after  int64 // seconds since the first token
			period string
			grants int
		}{
			{0, "0", 0}, {0, "99", 0}, {0, "100", 1}, // strictly longer
			{60, "39", 0}, {60, "40", 1},
			{139, "20", 0}, {139, "21", 1}, {239, "0", 1},
		} {
			time.Sleep(time.Until(began.Add(time.Duration(c.after) * time.Second)))
			before := w.grants()
			reply := w.must(w.agent, tokenFor("valid", "min_valid_period", c.period))
			if got := w.grants() - before; got != c.grants {
				t.Errorf("after %d s, valid for %s s: %d grants, want %d", c.after, c.period, got, c.grants)
			}
			if at, _ := reply.Int("expires_at"); c.grants == 1 && at != time.Now().Unix()+100 {
				t.Errorf("after %d s: expires at %d, %d s from now", c.after, at, at-time.Now().Unix())
			}
		}
		// Expired tokens of other scopes are dropped.
		w.must(w.agent, tokenFor("valid", "scope", "openid"))
		time.Sleep(101 * time.Second)
		w.must(w.agent, tokenFor("valid"))
		if l := w.agent.accounts.find("valid"); len(l.tokens) != 1 {
			t.Errorf("%d tokens are kept", len(l.tokens))
		}
	})
}

// A token whose lifetime the provider does not tell is given out as it is.
func TestNoExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.load("noexpiry")
	w.idp.Fail(iam.Fault{Path: "token", Times: 1, Set: map[string]any{"expires_in": nil}})
	reply := w.must(w.agent, forced("noexpiry"))
	if at, ok := reply.Int("expires_at"); at != 0 || !ok {
		t.Errorf("answered %s", reply.Compact())
	}
	before := w.grants()
	w.must(w.agent, tokenFor("noexpiry", "min_valid_period", "60"))
	if w.grants() != before {
		t.Error("a grant")
	}
}

// together sends a request many times at once and returns the answers.
func together(a *agent, n int, r *cjson.Object) []*cjson.Object {
	replies := make([]*cjson.Object, n)
	var all sync.WaitGroup
	for i := range replies {
		all.Go(func() { replies[i] = ask(a, r) })
	}
	all.Wait()
	return replies
}

// All callers that wait for the same token share one grant.
func TestSharedFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		w.load("shared")
		w.idp.ForgetRequests()
		w.idp.Fail(iam.Fault{Path: "token", Delay: time.Second})
		for _, reply := range together(w.agent, 100, tokenFor("shared", "min_valid_period", "99999999")) {
			if reply.Text("status") != "success" {
				t.Fatalf("answered %s", reply.Compact())
			}
		}
		if w.grants() != 1 {
			t.Errorf("%d grants", w.grants())
		}
		// They share errors and tries as well.
		w.idp.ClearFaults()
		w.idp.Fail(iam.Fault{Path: "token", Delay: time.Second, Status: 503, Body: "{}"})
		w.idp.ForgetRequests()
		for _, reply := range together(w.agent, 100, tokenFor("shared", "scope", "openid")) {
			want(t, reply, "provider answered with HTTP status 503...")
		}
		if w.grants() != maxTries {
			t.Errorf("%d grants", w.grants())
		}
	})
}

// A caller that insists on a new token gets one from a grant that began after its request, shared with the others.
func TestForcedShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		w.load("forced")
		w.idp.ForgetRequests()
		w.idp.Fail(iam.Fault{Path: "token", Delay: time.Second})
		began := time.Now()
		first := make(chan *cjson.Object)
		go func() { first <- ask(w.agent, forced("forced")) }()
		time.Sleep(500 * time.Millisecond)
		late := together(w.agent, 100, forced("forced"))
		if w.grants() != 2 || time.Since(began) != 2*time.Second {
			t.Errorf("%d grants in %v", w.grants(), time.Since(began))
		}
		early := (<-first).Text("access_token")
		for _, reply := range late {
			if token := reply.Text("access_token"); token == early || token == "" || token != late[0].Text("access_token") {
				t.Fatalf("a late caller got %s", reply.Compact())
			}
		}
	})
}

// A silent provider delays only the callers that need it, and those for at most 15 seconds.
func TestSilentProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		w.load("silent")
		w.idp.Fail(iam.Fault{Path: "token", Delay: time.Hour})
		began := time.Now()
		waiting := make(chan *cjson.Object)
		go func() { waiting <- ask(w.agent, forced("silent")) }()
		time.Sleep(time.Second)
		w.must(w.agent, tokenFor("silent")) // from the cache
		w.must(w.agent, cjson.New().SetText("request", "remove").SetText("account", "silent"))
		if time.Since(began) != time.Second {
			t.Errorf("others waited for %v", time.Since(began)-time.Second)
		}
		want(t, <-waiting, "127.0.0.1:1 did not answer within 14s...")
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the error came after %v", took)
		}
	})
}

// When a caller leaves, the flight goes on for the others.
func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{Rotate: true})
		path := w.load("leaves")
		w.idp.Fail(iam.Fault{Path: "token", Delay: 5 * time.Second, Times: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		reply, err := cjson.Parse(w.agent.answer(ctx, forced("leaves").Compact()))
		if err != nil {
			t.Fatal(err)
		}
		want(t, reply, "waiting for http://127.0.0.1:1/: context deadline exceeded")
		w.must(w.agent, forced("leaves"))
		if inFile := w.tokenInFile(path); inFile != w.tokenInMemory(w.agent, "leaves") {
			t.Errorf("the file has %q", inFile)
		}
	})
}

// An id-token is always new: it may expire before the access token that came with it.
func TestIDToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.agent.settings.AlwaysAllowIDToken = true
	w.load("idtoken")
	request := cjson.New().SetText("request", "id_token").SetText("account", "idtoken")
	before := w.grants()
	first := w.must(w.agent, request).Text("id_token")
	second := w.must(w.agent, request).Text("id_token")
	if w.grants() != before+2 || first == "" || second == "" {
		t.Errorf("%d grants, %q, %q", w.grants()-before, first, second)
	}
	want(t, ask(w.agent, request.SetText("scope", "storage.read:/")), w.idp.Issuer()+" sent no id_token: the account needs the scope openid")
}

// An expired refresh token gives an error with a hint after one try.
func TestExpiredRefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	path := w.load("expired")
	w.must(w.agent, forced("expired"))
	w.idp.Revoke(w.tokenInFile(path))
	w.idp.ForgetRequests()
	for _, r := range []*cjson.Object{forced("expired"), tokenFor("", "issuer", w.idp.Issuer(), "min_valid_period", "-1")} {
		reply := ask(w.agent, r)
		want(t, reply, "invalid_token: Refresh token for value...")
		if info := reply.Text("info"); !strings.Contains(info, "oidc-gen expired --reauthenticate") {
			t.Errorf("hint %q", info)
		}
		if strings.Contains(string(reply.Compact()), w.tokenInFile(path)) {
			t.Errorf("the error shows the refresh token: %s", reply.Compact())
		}
	}
	if w.grants() != 2 {
		t.Errorf("%d grants for two requests", w.grants())
	}
	c := w.config("notoken")
	reply := ask(w.agent, addRequest(c, ""))
	want(t, reply, "No or malformed refresh token")
	if info := reply.Text("info"); !strings.Contains(info, "oidc-gen notoken --reauthenticate") {
		t.Errorf("hint %q", info)
	}
}

// No flight begins while the agent is about to be locked.
func TestFlightAtTheDoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.load("door")
	w.agent.lock.close()
	_, err := w.agent.accessToken(t.Context(), w.agent.accounts.find("door"), tokenRequest{force: true})
	if err != ipc.ErrLocked {
		t.Errorf("got %v", err)
	}
	w.agent.lock.inside.Wait() // enter and leave are in balance
}
