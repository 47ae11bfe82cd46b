package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/oidc"
)

// brittle is a network that fails at the token endpoint, either before a connection is made or after the provider has
// processed the request.
type brittle struct {
	direct
	times    int
	answered bool
}

func (b *brittle) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.times == 0 || !strings.HasSuffix(r.URL.Path, "/token") {
		return b.direct.RoundTrip(r)
	}
	b.times--
	if !b.answered {
		return nil, syscall.ECONNREFUSED
	}
	httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
	if _, err := b.direct.RoundTrip(r); err != nil {
		return nil, err
	}
	return nil, io.ErrUnexpectedEOF
}

func (w *world) breakNetwork(b *brittle) {
	b.direct = direct{w.idp}
	client, err := oidc.NewClient(oidc.Options{Transport: b})
	if err != nil {
		w.Fatal(err)
	}
	setClient(w.agent, "", client)
}

// Temporary failures are tried again. The table says how often the provider sees the request.
func TestRetries(t *testing.T) {
	const busy = `{"error":"temporarily_unavailable"}`
	for _, c := range []struct {
		name    string
		rotate  bool
		fault   iam.Fault
		network brittle
		grants  int
		want    string // the failure; empty: none
	}{
		{name: "429", fault: iam.Fault{Status: 429, Times: 1}, grants: 2},
		{name: "502", fault: iam.Fault{Status: 502, Times: 2}, grants: 3},
		{name: "503", fault: iam.Fault{Status: 503, Times: 5}, grants: 6},
		{name: "504", fault: iam.Fault{Status: 504, Times: 1}, grants: 2},
		{name: "temporarily_unavailable", fault: iam.Fault{Status: 400, Body: busy, Times: 1}, grants: 2},
		{name: "503, rotating", rotate: true, fault: iam.Fault{Status: 503, Times: 2}, grants: 3},
		{name: "502, rotating", rotate: true, fault: iam.Fault{Status: 502, Times: 1}, grants: 2},
		{name: "503 for ever", fault: iam.Fault{Status: 503}, grants: maxTries, want: "provider answered with HTTP status 503..."},
		{name: "500", fault: iam.Fault{Status: 500}, grants: 1, want: "provider answered with HTTP status 500..."},
		{name: "refused", fault: iam.Fault{Status: 401, Body: `{"error":"invalid_token"}`}, grants: 1, want: "invalid_token"},
		{name: "HTML", fault: iam.Fault{Status: 200, Body: "<html>"}, grants: 1, want: "provider answered with HTTP status 200..."},
		{name: "no connection", network: brittle{times: 3}, grants: 1},
		{name: "no connection, rotating", rotate: true, network: brittle{times: 3}, grants: 1},
		{name: "no connection ever", network: brittle{times: 100}, grants: 0, want: "could not connect to 127.0.0.1:1: connection refused"},
		{name: "connection lost", network: brittle{times: 1, answered: true}, grants: 2},
		// The provider may have rotated the token already, so it must not see it a second time.
		{name: "connection lost, rotating", rotate: true, network: brittle{times: 1, answered: true}, grants: 1,
			want: "127.0.0.1:1 closed the connection before its answer was complete"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := bubbleWorld(t, iam.Settings{Rotate: c.rotate})
			w.load("retries")
			w.idp.ForgetRequests()
			c.fault.Path = "token"
			if c.fault.Status != 0 {
				w.idp.Fail(c.fault)
			}
			w.breakNetwork(&c.network)
			began := time.Now()
			reply := ask(w.agent, forced("retries"))
			if c.want != "" {
				want(t, reply, c.want)
			} else if reply.Text("status") != "success" {
				t.Errorf("%s: %s", c.name, reply.Compact())
			}
			if w.grants() != c.grants || time.Since(began) > 8*time.Second {
				t.Errorf("%s: %d requests in %v, want %d", c.name, w.grants(), time.Since(began), c.grants)
			}
		})
	}
}

// If a provider begins to rotate refresh tokens while a flight pauses, it still sees each token once: the next
// try waits for its turn.
func TestRotationDuringPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		path := w.load("begins")
		w.idp.Fail(iam.Fault{Path: "token", Times: 1, Status: 503})
		waiting := make(chan *cjson.Object, 2)
		go func() { waiting <- ask(w.agent, tokenFor("begins", "scope", "openid")) }()
		synctest.Wait()
		w.idp.Change(func(s *iam.Settings) { s.Rotate = true })
		w.must(w.agent, forced("begins"))
		next := w.tokenInFile(path)
		w.idp.Fail(iam.Fault{Path: "token", Delay: time.Second})
		go func() { waiting <- ask(w.agent, forced("begins")) }()
		for range 2 {
			if reply := <-waiting; reply.Text("status") != "success" {
				t.Errorf("answered %s", reply.Compact())
			}
		}
		presented := 0
		for _, r := range w.idp.Requests() {
			if r.Form().Get("refresh_token") == next {
				presented++
			}
		}
		if presented != 1 {
			t.Errorf("the new refresh token was presented %d times", presented)
		}
	})
}

// A provider that sends Retry-After is asked again at that time.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		w.load("after")
		w.idp.ForgetRequests()
		w.idp.Fail(iam.Fault{Path: "token", Times: 1, Status: 429, Header: map[string]string{"Retry-After": "7"}})
		began := time.Now()
		w.must(w.agent, forced("after"))
		if took := time.Since(began); took < 7*time.Second || took > 7500*time.Millisecond || w.grants() != 2 {
			t.Errorf("%d requests in %v", w.grants(), took)
		}
	})
}

// If that time is too late for the callers that wait, they are told at once when to try again. Until then all
// callers are told so, without a request to the provider.
func TestRetryAfterTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		w.load("late")
		w.load("late2")
		w.idp.ForgetRequests()
		w.idp.Fail(iam.Fault{Path: "token", Times: 1, Status: 503, Header: map[string]string{"Retry-After": "120"}})
		began := time.Now()
		const busy = "provider answered with HTTP status 503 (application/json), JSON expected (it asks to try again in "
		want(t, ask(w.agent, forced("late")), busy+"2m0s)")
		time.Sleep(20 * time.Second)
		for _, name := range []string{"late", "late2"} {
			for _, reply := range together(w.agent, 100, forced(name)) {
				want(t, reply, busy+"1m40s)")
			}
		}
		w.must(w.agent, tokenFor("late")) // from the cache
		if time.Since(began) != 20*time.Second || w.grants() != 1 {
			t.Errorf("%d requests in %v", w.grants(), time.Since(began))
		}
		time.Sleep(99 * time.Second)
		w.must(w.agent, forced("late2")) // waits for the last second
		if took := time.Since(began); took < 120*time.Second || took > 121*time.Second || w.grants() != 2 {
			t.Errorf("%d requests in %v", w.grants(), time.Since(began))
		}
		// A Retry-After of a day is cut short.
		w.idp.Fail(iam.Fault{Path: "token", Times: 1, Status: 429, Header: map[string]string{"Retry-After": "86400"}})
		want(t, ask(w.agent, forced("late")), "provider answered with HTTP status 429 (application/json), JSON expected (it asks to try again in 10m0s)")
		time.Sleep(maxBusy)
		w.must(w.agent, forced("late"))
	})
}

// within sends a request with a timeout of the client and returns how long the answer took.
func (w *world) within(seconds int64, r *cjson.Object) (*cjson.Object, time.Duration) {
	began := time.Now()
	reply := ask(w.agent, r.SetInt("timeout", seconds))
	return reply, time.Since(began)
}

// The client's timeout limits its wait and the tries made for it. Other clients are not slowed down.
func TestClientTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		w.agent.settings.AlwaysAllowIDToken = true
		w.load("timeout")
		w.load("other")
		for _, r := range []*cjson.Object{forced("timeout"), cjson.New().SetText("request", "id_token").SetText("account", "timeout")} {
			w.idp.Fail(iam.Fault{Path: "token", Times: 1, Delay: time.Hour})
			reply, took := w.within(2, r)
			want(t, reply, "waiting for http://127.0.0.1:1/: no answer within 2 s, which is how long the client waits")
			if took != 2*time.Second {
				t.Errorf("the error came after %v", took)
			}
			if _, took := w.within(2, tokenFor("timeout")); took != 0 {
				t.Errorf("a cached token took %v", took)
			}
			if _, took := w.within(2, forced("other")); took != 0 {
				t.Errorf("another account took %v", took)
			}
			time.Sleep(time.Minute)
		}
		w.idp.ClearFaults()
		w.idp.Fail(iam.Fault{Path: "token", Times: 1, Status: 429, Header: map[string]string{"Retry-After": "5"}})
		if reply, took := w.within(3, forced("timeout")); took != 0 {
			t.Errorf("%s after %v", reply.Compact(), took)
		}
		time.Sleep(time.Minute)
		w.idp.Fail(iam.Fault{Path: "token", Status: 503})
		reply, took := w.within(1, forced("timeout"))
		if want(t, reply, "provider answered with HTTP status 503..."); took > time.Second {
			t.Errorf("the error came after %v", took)
		}
		tried := w.grants()
		time.Sleep(time.Minute)
		if w.grants() != tried {
			t.Error("tried again for nobody")
		}
		w.idp.ClearFaults()
		w.idp.Fail(iam.Fault{Path: "token", Delay: 5 * time.Second})
		for _, seconds := range []int64{0, -5, 1 << 40} {
			if reply, _ := w.within(seconds, forced("timeout")); reply.Text("status") != "success" {
				t.Errorf("%d s is a limit: %s", seconds, reply.Compact())
			}
		}
	})
}

// A client that waits for the lock of an account file is told so.
func TestWaitingForLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	path := w.load("atlock")
	unlock, err := account.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	reply, _ := w.within(1, forced("atlock"))
	want(t, reply, "waiting for the lock of "+path+", which another process holds: no answer within 1 s, which is how long the client waits")
	unlock()
	w.must(w.agent, forced("atlock"))
}

// A flight that pauses before its next try does not delay locking or ending the agent.
func TestLockDuringPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		w.load("pause")
		w.idp.Fail(iam.Fault{Path: "token", Status: 503, Header: map[string]string{"Retry-After": "10"}})
		waiting := make(chan *cjson.Object, 1)
		go func() { waiting <- ask(w.agent, forced("pause")) }()
		synctest.Wait()
		began := time.Now()
		w.agent.finish(context.Background())
		want(t, <-waiting, "Agent locked")
		if took := time.Since(began); took != 0 {
			t.Errorf("waited for %v", took)
		}
	})
}
