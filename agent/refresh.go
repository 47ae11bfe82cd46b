package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"oidc-agent/proto/account"
	"oidc-agent/proto/oidc"
)

const (
	// grantTimeout bounds a grant with all that belongs to it: the wait for the account's turn and for the lock
	// of its file, discovery, the exchange itself. The first caller may leave before that; the others still want
	// the token.
	grantTimeout = 30 * time.Second
	// exchangeTimeout bounds a try, and the time in which further ones begin: who waits for a silent provider hears so
	// within 15 seconds.
	exchangeTimeout = 14 * time.Second
	// maxTries bounds how often a provider is asked for one token; between the tries are 0.25, 0.5, 1, 2 and 4
	// seconds at most, a random part of each.
	maxTries   = 6
	firstPause = 250 * time.Millisecond
)

// flight is one refresh grant that all who wait for the same token share.
type flight struct {
	done    chan struct{}
	err     error
	next    *flight   // for those who came meanwhile and insist on a token of a grant that begins later
	last    error     // what the tries so far have met with
	callers int       // who have waited for it
	until   time.Time // when the last of them gives up
	held    bool      // it has exclusive use of the refresh token
	used    digest    // the refresh token that it has presented last
	refused digest    // the one that the provider takes no more; zero: none yet
	refusal error     // its words
}

// accessToken answers from the cache, or takes part in a grant. Who insists on a new token (force) is served
// by a grant that began after he came, and shares it with all who came meanwhile.
func (a *agent) accessToken(ctx context.Context, l *loaded, r tokenRequest) (token, error) {
	key := r.key()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := a.moment()
	t, ok := l.tokens[key]
	if ok && !r.force && t.serves(now, r.minValid) {
		if now.boot >= t.renewAt {
			a.flightLocked(l, key, r) // the next one comes while this one is good: nobody has to wait for it later
		}
		l.history.hits++
	} else {
		if err := a.flightLocked(l, key, r).wait(ctx, l); err != nil {
			return token{}, err
		}
		if t, ok = l.tokens[key]; !ok || !t.exceeds(a.moment(), 0) {
			return token{}, fmt.Errorf("the access token of %s had expired when it arrived", l.config.IssuerURL)
		}
	}
	if l.file.unsaved() {
		t.warning = l.file.warning
	}
	return t, nil
}

// flightLocked returns the flight for a token, and begins it where there is none. l.mu is held.
func (a *agent) flightLocked(l *loaded, key tokenKey, r tokenRequest) *flight {
	f := l.flights[key]
	switch {
	case f == nil:
		f = &flight{done: make(chan struct{})}
		l.flights[key] = f
		go a.fly(l, key, r, f)
	case r.force:
		if f.next == nil {
			f.next = &flight{done: make(chan struct{})}
		}
		f = f.next
	}
	return f
}

// wait waits for the flight's end, with l.mu released.
func (f *flight) wait(ctx context.Context, l *loaded) error {
	f.callers++
	if end, _ := ctx.Deadline(); end.After(f.until) {
		f.until = end
	}
	l.mu.Unlock()
	var given error
	select {
	case <-f.done:
	case <-ctx.Done():
		given = context.Cause(ctx)
	}
	l.mu.Lock()
	path := l.atLock.Load()
	switch {
	case given == nil:
		return f.err
	case path != nil:
		return fmt.Errorf("waiting for the lock of %s, which somebody else holds: %w", *path, given)
	case f.last != nil:
		return f.last // says more than that time is over
	}
	return fmt.Errorf("waiting for %s: %w", l.config.IssuerURL, given)
}

// fly runs a grant and hands its result to all who wait.
func (a *agent) fly(l *loaded, key tokenKey, r tokenRequest, f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), grantTimeout)
	defer cancel()
	var t token
	if f.err = a.lock.enter(); f.err == nil {
		defer a.lock.leave() // behind all else: the agent is locked when the token is sealed
		t, f.err = a.grant(ctx, l, r, f)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := a.moment()
	l.history.note(f.err)
	if f.err == nil {
		if f.callers > 1 {
			t.crowd = now.boot + stragglers
		}
		l.keepLocked(key, t, now)
	} else if old, ok := l.tokens[key]; ok {
		// The next try to renew it ahead: when half of what is left is over.
		old.renewAt = now.boot + max((old.ends-now.boot)/2, 10*time.Second)
		l.tokens[key] = old
	}
	if delete(l.flights, key); f.next != nil {
		l.flights[key] = f.next
		go a.fly(l, key, r, f.next)
	}
	close(f.done)
}

// grant gets a new access token from the provider. It tries again after failures that pass by themselves, as long as
// somebody waits for the token, and at once where the refresh token is refused: there may be another one by now, a
// sibling agent's or that of a new login. Between the tries nothing is held for others.
func (a *agent) grant(ctx context.Context, l *loaded, r tokenRequest, f *flight) (token, error) {
	end := time.Now().Add(exchangeTimeout) // no try begins later
	for try := 0; ; try++ {
		t, left, err := a.try(ctx, l, r, f)
		if e, ok := errors.AsType[*oidc.Error](err); ok && e.TokenExpired() && f.refusal == nil {
			f.refused, f.refusal = f.used, err
			continue
		}
		pause := left + rand.N(firstPause<<try)
		next := time.Now().Add(pause)
		if !l.mayRepeat(err) || try+1 == maxTries || !next.Before(end) || !f.awaited(l, err, next) {
			return t, err
		}
		a.log.debugf("account %q: again in %v: %v", l.name(), pause, err)
		waiting, stop := a.lock.untilShut(ctx) // the agent's lock does not wait for those who only wait themselves
		select {
		case <-time.After(pause):
			stop()
		case <-waiting.Done():
			defer stop()
			return t, context.Cause(waiting)
		}
	}
}

// try asks the provider once, unless it does not want that for a time that is left. While it is not known that the
// refresh token stays the same, tries of an account go one after the other, and hold the lock of its file, so that no
// refresh token is ever presented twice: a provider takes that for theft (RFC 9700 section 4.14.2).
func (a *agent) try(ctx context.Context, l *loaded, r tokenRequest, f *flight) (t token, left time.Duration, err error) {
	release, err := a.exclusive(ctx, l)
	if err != nil {
		return t, 0, err
	}
	defer func() { release() }()
	if !l.fileNow().key.IsEmpty() {
		err := a.reconcile(ctx, l, f.refused)
		if err != nil && !l.fileNow().unsaved() { // the token in memory counts; of one that is not saved its users know
			a.log.warning("account %q: what its file holds is not known: %v", l.name(), err)
		}
	}
	if l.fileNow().current() == f.refused {
		return t, 0, f.refusal
	}
	if f.held = !l.keepsToken(); !f.held {
		release()
		release = func() {}
	}
	if left, err = a.providers.isBusy(l.config.IssuerURL, a.boot()); err != nil {
		return t, left, err
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	t, err = a.refresh(ctx, l, r, f)
	left, err = a.providers.noteBusy(l.config.IssuerURL, err, a.boot())
	return t, left, err
}

// keepsToken reports whether the provider is known to leave the refresh token as it is.
func (l *loaded) keepsToken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rotation == stays
}

// awaited notes what a try met with, and reports whether somebody will still wait when the next one is due.
func (f *flight) awaited(l *loaded, err error, next time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.last = err
	return next.Before(f.until)
}

// mayRepeat reports whether a refresh may be repeated after an error.
//
// A refresh token that the provider replaces must not be presented again beside a request that is still at work:
// the provider takes the second for a thief's and revokes both (RFC 9700 section 4.14.2). So where no answer came
// (the connection broke after the request had been written, or time ran out) only a token that is known to stay the
// same is presented again; else the next request does that, when all is quiet. It is safe where no connection was
// made, and where an answer says that the request is over and done with: 429 (RFC 6585 section 4), 503 and
// temporarily_unavailable promise that it was not processed, and a gateway's 502 or 504 mostly did not reach the provider.
func (l *loaded) mayRepeat(err error) bool {
	if broken, ok := errors.AsType[*oidc.ConnectionError](err); ok && !broken.Unsent && !l.keepsToken() {
		return false
	}
	_, passes := oidc.Temporary(err)
	return passes
}

// refresh is one exchange with the provider, and what follows from its answer.
func (a *agent) refresh(ctx context.Context, l *loaded, r tokenRequest, f *flight) (t token, err error) {
	config, err := a.withSecrets(l)
	if err != nil {
		return t, err
	}
	defer config.Wipe()
	if config.RefreshToken.IsEmpty() {
		return t, errNoRefreshToken
	}
	f.used = digestOf(config.RefreshToken)
	p, err := a.provider(ctx, config, false)
	if err != nil {
		return t, err
	}
	response, err := p.Refresh(ctx, config.RefreshToken, tokenParameters(config, r))
	if response != nil { // even an answer that is no good may hold the only refresh token that is
		a.rotate(ctx, l, f.used, response.RefreshToken, f.held)
	}
	if err != nil {
		return t, err
	}
	// The id_token must be about the same user as those that this agent has seen before (Core section 12.2).
	l.mu.Lock()
	want := oidc.IDTokenCheck{Subject: l.subject, Refreshed: true}
	l.mu.Unlock()
	subject, err := p.verifyIDToken(ctx, response, want)
	if err != nil {
		return t, err
	}
	l.mu.Lock()
	l.subject = subject
	l.mu.Unlock()
	return a.tokenFrom(p, response), nil
}

// tokenParameters are the scope and the audience of a refresh. Without a scope the provider gives all that
// was granted (RFC 6749 section 6), never more; without an audience the account's own applies.
func tokenParameters(config *account.Account, r tokenRequest) oidc.TokenRequest {
	return oidc.TokenRequest{Scope: r.scope, Audience: strings.Fields(cmp.Or(r.audience, config.Audience))}
}
