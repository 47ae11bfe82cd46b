package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"oidc-agent/proto/account"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

// token is an access token as the agent keeps and hands it out.
type token struct {
	access    secret.Secret
	id        secret.Secret // the id_token that came with it, if any
	issuer    string
	expiresAt int64  // seconds since 1970; 0 when the provider did not tell
	flight    uint64 // number of the flight that brought it; 0 for that of a login
}

// validFor reports whether the token lives longer than so many seconds. A token without an expiry is taken
// as it is: only the provider knows.
func (t token) validFor(now time.Time, seconds int64) bool {
	return t.expiresAt == 0 || t.expiresAt-now.Unix() > seconds
}

// tokenRequest is what a caller wants of an account.
type tokenRequest struct {
	scope    string // "" is all that was granted
	audience string
	minValid int64 // seconds
	force    bool  // a token of the cache will not do
}

func (r tokenRequest) key() tokenKey { return tokenKey{wordSet(r.scope), wordSet(r.audience)} }

// flight is one refresh grant that all who wait for the same token share.
type flight struct {
	number uint64 // of the account's flights
	done   chan struct{}
	token  token
	err    error
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
// by a grant that began after he came, and shares it with all who came meanwhile.
func (a *agent) accessToken(ctx context.Context, l *loaded, r tokenRequest) (token, error) {
	key := r.key()
	l.mu.Lock()
	came := l.launched
	for {
		t, ok := l.tokens[key]
		if ok && (t.flight > came || !r.force && t.validFor(a.now(), r.minValid)) {
			l.mu.Unlock()
			return t, nil
		}
		f := l.flights[key]
		if f == nil {
			l.launched++
			f = &flight{number: l.launched, done: make(chan struct{})}
			l.flights[key] = f
			go a.fly(l, key, r, f)
		}
		l.mu.Unlock()
		select {
		case <-f.done:
			if f.number > came || !r.force {
				return f.token, f.err
			}
		case <-ctx.Done():
			return token{}, fmt.Errorf("waiting for %s: %w", l.config.IssuerURL, context.Cause(ctx))
		}
		l.mu.Lock()
	}
}

// fly runs a grant and hands its result to all who wait.
func (a *agent) fly(l *loaded, key tokenKey, r tokenRequest, f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), grantTimeout)
	defer cancel()
	if f.err = a.lock.enter(); f.err == nil {
		defer a.lock.leave() // behind all else: a token that comes later than the lock would lie there in clear
		f.token, f.err = a.grant(ctx, l, r)
		f.token.flight = f.number
	}
	l.mu.Lock()
	if f.err == nil {
		// Scripts may ask for a new audience in each job: what has expired makes room.
		maps.DeleteFunc(l.tokens, func(_ tokenKey, t token) bool { return !t.validFor(a.now(), 0) })
		l.tokens[key] = f.token
	}
	delete(l.flights, key)
	l.mu.Unlock()
	close(f.done)
}

// grant gets a new access token from the provider. While it is not known that the refresh token stays the
// same, grants of an account go one after the other, and hold the lock of its file, so that no refresh token
// is ever presented twice: a provider takes that for theft (RFC 9700 section 4.14.2).
func (a *agent) grant(ctx context.Context, l *loaded, r tokenRequest) (token, error) {
	if l.hasConstantToken() && !a.adopt(l, false) {
		t, used, err := a.refresh(ctx, l, r, false)
		if !expired(err) || !a.renewed(l, used) {
			return t, err
		}
	}
	release, locked, err := a.exclusive(ctx, l)
	if err != nil {
		return token{}, err
	}
	defer release()
	a.adopt(l, false)
	t, used, err := a.refresh(ctx, l, r, locked)
	if expired(err) && a.renewed(l, used) {
		t, _, err = a.refresh(ctx, l, r, locked)
	}
	return t, err
}

func expired(err error) bool {
	refused := new(oidc.Error)
	return errors.As(err, &refused) && refused.TokenExpired()
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
	unlock, err := a.lockFile(ctx, l)
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
	exchange, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	p, err := a.provider(exchange, config, false)
	if err != nil {
		return t, used, err
	}
	response, err := p.Refresh(exchange, p.metadata, a.credentials(config), config.RefreshToken, a.tokenParameters(config, r))
	if response != nil { // even an answer that is no good may hold the only refresh token that is
		a.rotate(ctx, l, used, response.RefreshToken, locked)
	}
	if err != nil {
		return t, used, err
	}
	return tokenFrom(p.metadata.Issuer, response), used, nil
}

// tokenParameters are the scope and the audience of a refresh. Without a scope the provider gives all that
// was granted (RFC 6749 section 6), never more; without an audience the account's own applies.
func (a *agent) tokenParameters(config *account.Account, r tokenRequest) oidc.TokenRequest {
	audience := r.audience
	if audience == "" {
		audience = config.Audience
	}
	return oidc.TokenRequest{
		Scope:          r.scope,
		Audience:       strings.Fields(audience),
		LegacyAudience: a.issuerSettings(config.IssuerURL).LegacyAudMode,
	}
}

func tokenFrom(issuer string, r *oidc.TokenResponse) token {
	t := token{access: r.AccessToken, id: r.IDToken, issuer: issuer}
	if r.ExpiresIn > 0 {
		t.expiresAt = r.Received.Unix() + r.ExpiresIn
	}
	return t
}
