package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"oidc-agent/proto/account"
	"oidc-agent/proto/oidc"
)

// flight is one refresh grant that all who wait for the same token share.
type flight struct {
	number  uint64 // of the account's flights
	done    chan struct{}
	err     error
	last    error     // what the tries so far have met with
	callers int       // who have waited for it
	until   time.Time // when the last of them gives up
}

const (
	// grantTimeout bounds a grant with all that belongs to it: the wait for the account's turn and for the lock
	// of its file, discovery, the exchange itself. The first caller may leave before that; the others still want
	// the token.
	grantTimeout = 30 * time.Second
	// exchangeTimeout bounds the part of it that is the provider's: who waits for a silent one hears so within
	// 15 seconds.
	exchangeTimeout = 14 * time.Second
)

// accessToken answers from the cache, or takes part in a grant. Who insists on a new token (force) is served
// by a grant that began after he came, and shares it with all who came meanwhile. The caller wipes the token.
func (a *agent) accessToken(ctx context.Context, l *loaded, r tokenRequest) (token, error) {
	key := r.key()
	l.mu.Lock()
	defer l.mu.Unlock()
	since := l.launched // what a later flight brings will do in any case
	for waited := false; ; waited = true {
		now := a.moment()
		t, ok := l.tokens[key]
		switch {
		case ok && t.serves(now, r):
			if t.renewAt > 0 && now.boot >= t.renewAt {
				a.flightLocked(l, key, r) // the next one comes while this one is good: nobody has to wait for it later
			}
			if !waited {
				l.history.hits++
			}
			return l.copyLocked(t, r), nil
		case ok && t.flight > since && !t.exceeds(now, 0):
			return token{}, fmt.Errorf("the access token of %s had expired when it arrived", t.issuer)
		case ok && t.flight > since:
			return l.copyLocked(t, r), nil
		case l.gone:
			return token{}, fmt.Errorf("account %q was removed meanwhile", l.name())
		}
		f := a.flightLocked(l, key, r)
		if err := f.wait(ctx, l); err != nil {
			return token{}, err
		}
		if f.number > since || !r.force {
			if f.err != nil {
				return token{}, f.err
			}
			since = min(since, f.number-1)
		}
	}
}

// flightLocked returns the flight for a token, and begins it where there is none. l.mu is held.
func (a *agent) flightLocked(l *loaded, key tokenKey, r tokenRequest) *flight {
	f := l.flights[key]
	if f == nil {
		l.launched++
		f = &flight{number: l.launched, done: make(chan struct{})}
		l.flights[key] = f
		go a.fly(l, key, r, f)
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
	switch {
	case given == nil:
		return nil
	case l.atLock.Load():
		return fmt.Errorf("waiting for the lock of %s, which somebody else holds: %w", l.file.path, given)
	case f.last != nil:
		return f.last // says more than that time is over
	}
	return fmt.Errorf("waiting for %s: %w", l.config.IssuerURL, given)
}

// failed notes what a try met with, and reports whether somebody will still wait when the next one is due.
func (f *flight) failed(l *loaded, err error, next time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.last = err
	return next.Before(f.until)
}

// fly runs a grant and hands its result to all who wait.
func (a *agent) fly(l *loaded, key tokenKey, r tokenRequest, f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), grantTimeout)
	defer cancel()
	var t token
	if f.err = a.lock.enter(); f.err == nil {
		defer a.lock.leave() // behind all else: a token that comes later than the lock would lie there in clear
		t, f.err = a.grant(ctx, l, r, f)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := a.moment()
	l.history.note(f.err)
	if f.err == nil {
		t.flight = f.number
		if f.callers > 1 {
			t.shared = now.boot
		}
		l.keepLocked(key, t, now)
	} else if old, ok := l.tokens[key]; ok {
		// The next try to renew it ahead: when half of what is left is over.
		old.renewAt = now.boot + max((old.ends-now.boot)/2, 10*time.Second)
		l.tokens[key] = old
	}
	delete(l.flights, key)
	close(f.done)
}

// grant gets a new access token from the provider. While it is not known that the refresh token stays the
// same, grants of an account go one after the other, and hold the lock of its file, so that no refresh token
// is ever presented twice: a provider takes that for theft (RFC 9700 section 4.14.2).
func (a *agent) grant(ctx context.Context, l *loaded, r tokenRequest, f *flight) (token, error) {
	for {
		if l.hasConstantToken() && !a.adopt(l, false) {
			t, used, err := a.persist(ctx, l, r, f, false)
			if !expired(err) || !a.renewed(l, used) {
				return t, err
			}
		}
		release, locked, err := a.exclusive(ctx, l)
		if err != nil {
			return token{}, err
		}
		if l.hasConstantToken() {
			release() // the grant that went before has shown it
			continue
		}
		defer release()
		a.adopt(l, false)
		t, used, err := a.persist(ctx, l, r, f, locked)
		if expired(err) && a.renewed(l, used) {
			t, _, err = a.persist(ctx, l, r, f, locked)
		}
		return t, err
	}
}

func expired(err error) bool {
	refused, ok := errors.AsType[*oidc.Error](err)
	return ok && refused.TokenExpired()
}

// renewed reports, when a refresh token was refused, whether there is another one by now: a sibling agent's, or
// that of a new login.
func (a *agent) renewed(l *loaded, refused digest) bool {
	a.adopt(l, true)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current != refused
}

// exclusive waits for the account's turn and for the lock of its file. locked is false for an account without a
// known file.
func (a *agent) exclusive(ctx context.Context, l *loaded) (release func(), locked bool, err error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, false, fmt.Errorf("waiting for another refresh of %q: %w", l.name(), context.Cause(ctx))
	}
	l.atLock.Store(true)
	unlock, err := a.lockFile(ctx, l)
	l.atLock.Store(false)
	if err != nil {
		<-l.turn
		return nil, false, err
	}
	return func() {
		if unlock != nil {
			unlock()
		}
		<-l.turn
	}, unlock != nil, nil
}

// refresh is one exchange with the provider, and what follows from its answer. used is the refresh token that
// was presented; locked says that the caller holds the lock of the account's file.
func (a *agent) refresh(ctx context.Context, l *loaded, r tokenRequest, locked bool) (t token, used digest, err error) {
	config, err := a.withSecrets(l)
	if err != nil {
		return t, used, err
	}
	defer config.Wipe()
	if config.RefreshToken.IsEmpty() {
		return t, used, errNoRefreshToken
	}
	used = digestOf(config.RefreshToken)
	p, err := a.provider(ctx, config, false)
	if err != nil {
		return t, used, err
	}
	response, err := p.Refresh(ctx, config.RefreshToken, tokenParameters(config, r))
	if response != nil { // even an answer that is no good may hold the only refresh token that is
		a.rotate(ctx, l, used, response.RefreshToken, locked)
	}
	if err == nil {
		err = p.verifyRefreshed(ctx, l, response)
	}
	if err != nil {
		return t, used, err
	}
	return tokenFrom(p, response), used, nil
}

// tokenParameters are the scope and the audience of a refresh. Without a scope the provider gives all that
// was granted (RFC 6749 section 6), never more; without an audience the account's own applies.
func tokenParameters(config *account.Account, r tokenRequest) oidc.TokenRequest {
	return oidc.TokenRequest{Scope: r.scope, Audience: strings.Fields(cmp.Or(r.audience, config.Audience))}
}
