package main

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
)

func TestLifespan(t *testing.T) {
	t.Parallel()
	start := moment{time.Unix(1_000_000, 0), 500 * time.Second}
	s := lasting(start, 100)
	for _, c := range []struct {
		name       string
		wall, boot time.Duration // since the start
		seconds    int64
		want       bool
	}{
		{"at once", 0, 0, 99, true},
		{"strictly longer", 0, 0, 100, false},
		{"nearly over", 99 * time.Second, 99 * time.Second, 0, true},
		{"over", 100 * time.Second, 100 * time.Second, 0, false},
		{"clock set back", -time.Hour, 99 * time.Second, 0, true},
		{"clock set back, over", -time.Hour, 100 * time.Second, 0, false},
		{"clock set forward", time.Hour, time.Second, 0, false},
		{"suspended, wall clock not yet set", 0, time.Hour, 0, false},
		{"longer than anything", 0, 0, 1 << 62, false},
	} {
		if got := s.exceeds(moment{start.wall.Add(c.wall), start.boot + c.boot}, c.seconds); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if s.expiresAt != 1_000_100 || s.renewAt != 580*time.Second {
		t.Errorf("told %d, renewed at %v", s.expiresAt, s.renewAt)
	}
	if !(lifespan{}).exceeds(start, 1<<62) {
		t.Error("a life without a known end is over")
	}
}

// bentClock shifts an agent's clocks by what the test says.
type bentClock struct{ wall, boot atomic.Int64 } // in nanoseconds

// jump moves both clocks.
func (b *bentClock) jump(wall, boot time.Duration) {
	b.wall.Add(int64(wall))
	b.boot.Add(int64(boot))
}

func (w *world) bend() *bentClock {
	bent, true := new(bentClock), w.agent.clock
	w.agent.now = func() time.Time { return true.now().Add(time.Duration(bent.wall.Load())) }
	w.agent.boot = func() time.Duration { return true.boot() + time.Duration(bent.boot.Load()) }
	return bent
}

// Whatever the clocks do, no token is handed out that its provider no longer accepts.
func TestClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{AccessTokenLifetime: 100 * time.Second})
		w.load("jumps")
		clock := w.bend()
		for _, c := range []struct {
			what       string
			wall, boot time.Duration // by which the agent's clocks jump
			passed     time.Duration // what has really passed
			grants     int
		}{
			{"nothing", 0, 0, 0, 0},
			{"the clock was set back by a day", -24 * time.Hour, 0, 0, 0},
			{"and the token expired", 0, 0, 100 * time.Second, 1},
			{"the clock was set right", 24 * time.Hour, 0, 0, 1},
			{"asleep for an hour", time.Hour, time.Hour, time.Hour, 1},
			{"asleep for an hour, and the clock of the machine stood still", 0, time.Hour, time.Hour, 1},
			{"the clock was set back by an hour while the machine slept for one", -time.Hour, time.Hour, time.Hour, 1},
		} {
			clock.jump(c.wall, c.boot)
			if c.boot == 0 {
				time.Sleep(c.passed)
			} else {
				w.idp.MoveClock(c.passed) // timers stand still
			}
			before := w.grants()
			reply := w.must(w.agent, tokenFor("jumps"))
			if got := w.grants() - before; got != c.grants {
				t.Errorf("%s: %d grants, want %d", c.what, got, c.grants)
			}
			if expires := claims(t, reply)["exp"].(float64); int64(expires) <= w.idp.Now().Unix() {
				t.Errorf("%s: the token has expired", c.what)
			}
			if at, _ := reply.Int("expires_at"); c.grants == 1 && at != w.agent.now().Unix()+100 {
				t.Errorf("%s: told that it expires in %d s", c.what, at-w.agent.now().Unix())
			}
		}
	})
}

// The life of a token counts from before the request, not from a slow answer.
func TestSlowAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{AccessTokenLifetime: 60 * time.Second})
		w.load("slow")
		w.idp.Fail(iam.Fault{Path: "token", Delay: 10 * time.Second})
		reply := w.must(w.agent, forced("slow"))
		if at, _ := reply.Int("expires_at"); at != time.Now().Unix()+50 {
			t.Errorf("told that it expires in %d s", at-time.Now().Unix())
		}
		w.idp.Fail(iam.Fault{})
		w.idp.ClearFaults()
		w.idp.Fail(iam.Fault{Path: "token", Delay: 10 * time.Second, Set: map[string]any{"expires_in": 5}})
		want(t, ask(w.agent, forced("slow")), "the access token of http://127.0.0.1:1/ had expired when it arrived")
	})
}

// The lifetime of an account includes the time that the machine slept, and ends with the first request after that.
func TestLifetimeAfterSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, iam.Settings{})
		clock := w.bend()
		for name, lifetime := range map[string]int64{"short": 3600, "long": 7200, "ever": 0} {
			w.must(w.agent, addRequest(w.account(name), "").SetInt("lifetime", lifetime))
		}
		for _, c := range []struct {
			asleep time.Duration
			loaded int
		}{{3599 * time.Second, 3}, {time.Second, 2}, {time.Hour, 1}} {
			clock.jump(0, c.asleep)
			if got := w.loaded(); len(got) != c.loaded {
				t.Errorf("loaded %v, want %d", got, c.loaded)
			}
		}
		// So does a lifetime that was set before the account was put in its place.
		l := w.agent.newLoaded(w.config("early"))
		w.agent.setLifetime(l, 60)
		w.loaded()
		w.agent.accounts.put(l)
		clock.jump(0, time.Minute)
		if got := w.loaded(); len(got) != 1 {
			t.Errorf("loaded %v, want 1", got)
		}
		want(t, ask(w.agent, tokenFor("short")), "No account configured with that short name")
		// Its place is free, although the timer has not fired yet.
		if info := w.must(w.agent, addRequest(w.account("short"), "").SetInt("lifetime", 0)).Text("info"); info != "" {
			t.Errorf("info %q", info)
		}
		w.must(w.agent, cjson.New().SetText("request", "remove_all"))
	})
}
