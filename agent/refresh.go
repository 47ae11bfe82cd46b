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
	// grantTimeout bounds a whole grant: the wait for the account's turn and for the lock of its file, discovery,
	// and the exchange itself. It does not end with the first caller, because others may still want the token.
	grantTimeout = 30 * time.Second
	// exchangeTimeout bounds one try, and the time in which further ones may begin. Callers hear of a silent provider
	// within 15 seconds.
	exchangeTimeout = 14 * time.Second
	// maxTries is how often a provider is asked for one token. The pauses in between are random, and at most
	// 0.25, 0.5, 1, 2 and 4 seconds long.
	maxTries   = 6
	firstPause = 250 * time.Millisecond
)

// flight is a refresh grant. All callers that wait for the same token share it.
type flight struct {
	done    chan struct{}
	err     error
	next    *flight   // for callers that came later and insist on a new token
	last    error     // of the latest try
	callers int       // how many have waited for it
	until   time.Time // when the last of them gives up
	held    bool      // whether it has exclusive use of the refresh token
	used    digest    // of the refresh token that it presented last
	refused digest    // of the refresh token that the provider refused, if any
	refusal error     // the provider's answer to that one
}

// accessToken returns a token from the cache, or waits for a grant. A caller that insists on a new token (force)
// gets one from a grant that began after its request, shared with all others that came in the meantime.
func (a *agent) accessToken(ctx context.Context, l *loaded, r tokenRequest) (token, error) {
	key := r.key()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := a.moment()
	t, ok := l.tokens[key]
	if ok && !r.force && t.serves(now, r.minValid) {
		if now.boot >= t.renewAt {
			a.flightLocked(l, key, r) // renewed while it is still valid, so that nobody has to wait later
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

// flightLocked returns the flight for a token, and starts one if there is none. The caller holds l.mu.
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

// wait waits for the flight to end. It releases l.mu in the meantime.
func (f *flight) wait(ctx context.Context, l *loaded) error {
	f.callers++
	if end, _ := ctx.Deadline(); end.After(f.until) {
		f.until = end
	}
	l.mu.Unlock()
	var ended error
	select {
	case <-f.done:
	case <-ctx.Done():
		ended = context.Cause(ctx)
	}
	l.mu.Lock()
	path := l.atLock.Load()
	switch {
	case ended == nil:
		return f.err
	case path != nil:
		return fmt.Errorf("waiting for the lock of %s, which another process holds: %w", *path, ended)
	case f.last != nil:
		return f.last // says more than that the time is over
	}
	return fmt.Errorf("waiting for %s: %w", l.config.IssuerURL, ended)
}

// fly runs a grant and passes its result to all that wait.
func (a *agent) fly(l *loaded, key tokenKey, r tokenRequest, f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), grantTimeout)
	defer cancel()
	var t token
	if f.err = a.lock.enter(); f.err == nil {
		defer a.lock.leave() // last of all: the agent must not be locked before the token is sealed
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
		// Renew it again when half of its remaining life is over.
		old.renewAt = now.boot + max((old.ends-now.boot)/2, 10*time.Second)
		l.tokens[key] = old
	}
	if delete(l.flights, key); f.next != nil {
		l.flights[key] = f.next
		go a.fly(l, key, r, f.next)
	}
	close(f.done)
}

// grant gets a new access token from the provider. After a temporary failure it tries again as long as a caller
// waits for the token. When the refresh token is refused it tries again at once: another agent or a new login may
// have stored a newer one. Between the tries it holds no lock.
func (a *agent) grant(ctx context.Context, l *loaded, r tokenRequest, f *flight) (token, error) {
	end := time.Now().Add(exchangeTimeout) // no try begins after this
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
		waiting, stop := a.lock.untilShut(ctx) // locking the agent does not wait for a pause
		select {
		case <-time.After(pause):
			stop()
		case <-waiting.Done():
			defer stop()
			return t, context.Cause(waiting)
		}
	}
}

// try asks the provider once, unless a Retry-After forbids it for the time left. Unless the refresh token is
// known to stay the same, the tries of an account run one after the other and hold the lock of its file, so that
// no refresh token is ever presented twice: a provider takes that for theft (RFC 9700 section 4.14.2).
func (a *agent) try(ctx context.Context, l *loaded, r tokenRequest, f *flight) (
	t token, left time.Duration, err error) {
	release, err := a.exclusive(ctx, l)
	if err != nil {
		return t, 0, err
	}
	defer func() { release() }()
	if !l.fileNow().key.IsEmpty() {
		err := a.reconcile(ctx, l, f.refused)
		if err != nil && !l.fileNow().unsaved() { // an unsaved token is reported with each answer already
			a.log.warning("account %q: cannot read its file, using the refresh token in memory: %v", l.name(), err)
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

// awaited notes the error of a try, and reports whether a caller will still wait when the next one is due.
func (f *flight) awaited(l *loaded, err error, next time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.last = err
	return next.Before(f.until)
}

// mayRepeat reports whether a refresh may be repeated after an error.
//
// A refresh token that the provider rotates must not be presented again while an earlier request may still be
// processed: the provider takes the second one for a thief's and revokes both (RFC 9700 section 4.14.2). So if no
// answer came, because the connection broke after the request was written or the time ran out, only a token that
// is known to stay the same is presented again. It is safe if no connection was made, and if the answer says that
// the request is over: 429 (RFC 6585 section 4), 503 and temporarily_unavailable promise that it was not
// processed, and with a gateway's 502 or 504 it mostly did not reach the provider.
func (l *loaded) mayRepeat(err error) bool {
	if broken, ok := errors.AsType[*oidc.ConnectionError](err); ok && !broken.Unsent && !l.keepsToken() {
		return false
	}
	_, passes := oidc.Temporary(err)
	return passes
}

// refresh does one exchange with the provider and stores what its answer brings.
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
	if response != nil { // even a faulty answer may hold the only valid refresh token
		a.rotate(ctx, l, f.used, response.RefreshToken, f.held)
	}
	if err != nil {
		return t, err
	}
	// The id_token must have the same subject as earlier ones (Core section 12.2).
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

// tokenParameters returns the scope and the audience of a refresh. Without a scope the provider gives all that was
// granted, and never more (RFC 6749 section 6). Without an audience the account's own applies.
func tokenParameters(config *account.Account, r tokenRequest) oidc.TokenRequest {
	return oidc.TokenRequest{Scope: r.scope, Audience: strings.Fields(cmp.Or(r.audience, config.Audience))}
}
