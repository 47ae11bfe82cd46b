package main

import "time"

// clock tells the time in two ways. The wall clock is what providers and clients refer to, and may be set at any time.
// The boot clock counts from the start of the machine, including suspend, and nobody can set it.
type clock struct {
	now  func() time.Time
	boot func() time.Duration
}

// moment is one instant on both clocks.
type moment struct {
	wall time.Time
	boot time.Duration
}

func (c clock) moment() moment { return moment{c.now(), c.boot()} }

// lifespan is how long something is valid. It ends as soon as either clock says so: setting the clock back does not
// lengthen it, and neither does a suspend.
type lifespan struct {
	known     bool          // whether it has a known end
	expiresAt int64         // seconds since 1970, as clients are told; 0 if not known
	ends      time.Duration // since boot
	renewAt   time.Duration // since boot: from then on the next token is fetched in the background
}

const (
	// renewalShare is the last part of a token's life, in percent, in which a request makes the agent fetch the next one.
	renewalShare = 20
	// renewalMargin is how long before the end that happens at the latest: the wall clock counts whole seconds.
	renewalMargin = 2 * time.Second
	// renewalTerm is when to renew the token of a provider that does not say how long it lasts.
	renewalTerm = 5 * time.Minute
)

// lasting returns the lifespan of so many seconds from a moment on. 0 means that its end is not known.
func lasting(since moment, seconds int64) lifespan {
	if seconds <= 0 {
		return lifespan{renewAt: since.boot + renewalTerm}
	}
	life := time.Duration(seconds) * time.Second
	return lifespan{
		known: true, expiresAt: since.wall.Unix() + seconds, ends: since.boot + life,
		renewAt: since.boot + min(life/100*(100-renewalShare), life-renewalMargin),
	}
}

// exceeds reports whether more than so many seconds are left. That is always so if the end is not known.
func (s lifespan) exceeds(now moment, seconds int64) bool {
	return !s.known || s.expiresAt-now.wall.Unix() > seconds && (s.ends-now.boot).Seconds() > float64(seconds)
}

// sleptSince reports whether the machine was suspended between two moments: the monotonic clock in a time.Time stands
// still then.
func (m moment) sleptSince(earlier moment) bool {
	return m.boot-earlier.boot-m.wall.Sub(earlier.wall) > time.Second
}
