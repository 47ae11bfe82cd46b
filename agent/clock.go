package main

import "time"

// clock tells the time in two ways. The wall clock is what providers and clients mean, and may be set at any
// moment; the other counts from the machine's start, suspend included, and nobody can set it.
type clock struct {
	now  func() time.Time
	boot func() time.Duration
}

func systemClock() clock { return clock{now: time.Now, boot: sinceBoot} }

// moment is one instant on both clocks.
type moment struct {
	wall time.Time
	boot time.Duration
}

func (c clock) moment() moment { return moment{c.now(), c.boot()} }

// lifespan is a time that somebody has granted. It is over as soon as one of the two clocks says so: a clock that was
// set back does not lengthen it, and neither does a suspend.
type lifespan struct {
	known     bool
	expiresAt int64         // seconds since 1970, as clients are told; 0 when not known
	ends      time.Duration // since boot
	renewAt   time.Duration // since boot: from here on a new token is fetched behind the caller's back
}

const (
	// renewalShare is the last part of a token's life, in percent, in which a request makes the agent get the next one.
	renewalShare = 20
	// renewalMargin is how long before its end that happens at least: the wall clock counts in whole seconds.
	renewalMargin = 2 * time.Second
	// renewalTerm is for the token of a provider that does not say how long it lasts.
	renewalTerm = 5 * time.Minute
)

// lasting is a lifespan of so many seconds that begins at a moment; of 0 its end is not known.
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

// exceeds reports whether more than so many seconds are left. A life that nobody knows the end of is taken as it is.
func (s lifespan) exceeds(now moment, seconds int64) bool {
	return !s.known || s.expiresAt-now.wall.Unix() > seconds && (s.ends-now.boot).Seconds() > float64(seconds)
}

// sleptSince reports whether the machine was suspended between two moments: the monotonic clock that wall times carry
// has stood still then.
func (m moment) sleptSince(earlier moment) bool {
	return m.boot-earlier.boot-m.wall.Sub(earlier.wall) > time.Second
}
