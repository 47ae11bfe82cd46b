package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"oidc-agent/proto/oidc"
)

const (
	// maxTries bounds how often a provider is asked for one token; between the tries are 0.25, 0.5, 1, 2 and 4
	// seconds at most, a random part of each.
	maxTries   = 6
	firstPause = 250 * time.Millisecond
	// maxBusy is how long a Retry-After keeps us from asking again: one that was set by mistake must not shut the
	// provider for a day.
	maxBusy = 10 * time.Minute
)

// persist makes a refresh, and repeats it after failures that pass by themselves, as long as somebody waits for the
// token. Nothing is open or held for others meanwhile but the account's turn.
func (a *agent) persist(ctx context.Context, l *loaded, r tokenRequest, f *flight, locked bool) (t token, used digest, err error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	issuer := l.config.IssuerURL
	for try := 1; ; try++ {
		if err = a.providers.busyError(issuer, a.boot()); err == nil {
			t, used, err = a.refresh(ctx, l, r, locked)
			err = a.providers.noteBusy(issuer, err, a.boot())
		}
		pause, again := pauseAfter(err, try, l.hasConstantToken())
		end, _ := ctx.Deadline()
		if next := time.Now().Add(pause); !again || !next.Before(end) || !f.failed(l, err, next) {
			return t, used, err
		}
		a.log.debugf("account %q: again in %v: %v", l.name(), pause, err)
		if waitErr := a.pause(ctx, pause); waitErr != nil {
			return t, used, waitErr
		}
	}
}

// pauseAfter decides whether a refresh may be repeated, and after which time.
//
// A refresh token that the provider replaces must not be presented again beside a request that is still at work:
// the provider takes the second for a thief's and revokes both (RFC 9700 section 4.14.2). So where no answer came
// (the connection broke after the request had been written, or time ran out) only a token that is known to stay the
// same is presented again; else the next request does that, when all is quiet. It is safe where no connection was
// made, and where an answer says that the request is over and done with: 429 (RFC 6585 section 4), 503 and
// temporarily_unavailable promise that it was not processed. So does a gateway's 502 or 504 in most cases: it did
// not reach the provider. If the provider did process the request and only its answer was lost, the token that we
// hold is spent already and whoever presents it next learns so: waiting would save nothing, while a provider that
// forgives a repetition does so only for some seconds.
func pauseAfter(err error, try int, constant bool) (pause time.Duration, again bool) {
	spread := rand.N(firstPause << (try - 1))
	if busy, ok := errors.AsType[busyError](err); ok {
		return busy.left + spread, try < maxTries
	}
	if broken, ok := errors.AsType[*oidc.ConnectionError](err); ok && !broken.Unsent && !constant {
		return 0, false
	}
	_, passes := oidc.Temporary(err)
	return spread, passes && try < maxTries
}

// pause waits. The agent's lock does not wait for those who only wait themselves.
func (a *agent) pause(ctx context.Context, d time.Duration) error {
	ctx, cancel := a.lock.untilShut(ctx)
	defer cancel()
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// busyError is the answer of a provider that has said when it wants to be asked again (RFC 9110 section 10.2.3).
type busyError struct {
	error
	until time.Duration // since boot, as the provider said
	asks  time.Duration // since boot: when it is asked again in any case
	left  time.Duration
}

func (b busyError) Error() string {
	return fmt.Sprintf("%v (it asks to try again in %v)", b.error, b.left.Round(time.Second))
}

func (b busyError) Unwrap() error { return b.error }

// busyError returns the answer of an issuer that does not want to be asked yet.
func (p *providers) busyError(issuer string, now time.Duration) error {
	known, _ := p.busy.Load(issuer)
	if b, ok := known.(busyError); ok && now < b.asks {
		b.left = b.until - now
		return b
	}
	return nil
}

// noteBusy remembers an answer that says when to ask again.
func (p *providers) noteBusy(issuer string, err error, now time.Duration) error {
	after, _ := oidc.Temporary(err)
	if after <= 0 {
		return err
	}
	b := busyError{err, now + after, now + min(after, maxBusy), after}
	p.busy.Store(issuer, b)
	return b
}
