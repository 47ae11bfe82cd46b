package main

import (
	"slices"
	"strings"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

// token is an access token in the cache. It is sealed, so that a locked agent can keep it.
type token struct {
	answer crypt.Sealed // the whole answer to a request for it
	id     crypt.Sealed // the id_token that came with it, if any
	issuer string
	lifespan
	crowd   time.Duration // since boot: until then it serves latecomers, see serves
	warning string        // for the answer: why the account file could not be written
}

// tokenKey identifies an access token of an account. Scope and audience are sets of words.
type tokenKey struct{ scope, audience string }

// wordSet sorts space-separated words and drops repetitions: a scope is a set (RFC 6749 section 3.3).
func wordSet(words string) string {
	list := strings.Fields(words)
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

// tokenRequest says which token of an account a caller wants.
type tokenRequest struct {
	scope    string // empty: all that was granted
	audience string
	minValid int64 // seconds
	force    bool  // not from the cache
}

func (r tokenRequest) key() tokenKey { return tokenKey{wordSet(r.scope), wordSet(r.audience)} }

// stragglers is how long a token that several callers have waited for also serves callers that come a little
// later and demand a longer life than the provider gives. The next token would live no longer.
const stragglers = 200 * time.Millisecond

// serves reports whether the token satisfies a caller that wants it to be valid for minValid more seconds.
func (t token) serves(now moment, minValid int64) bool {
	return t.exceeds(now, minValid) || now.boot < t.crowd && t.exceeds(now, 0)
}

// tokenFrom makes a token from a provider's response, and wipes its access token. The life of the token counts from
// before the request, so that a slow response does not lengthen it.
func (a *agent) tokenFrom(p *provider, r *oidc.TokenResponse) token {
	t := token{id: a.sealer.Seal(r.IDToken), issuer: p.Issuer, lifespan: lasting(p.asked, r.ExpiresIn)}
	if !r.AccessToken.IsEmpty() {
		o := ipc.Success("").SetSecret(ipc.KeyAccessToken, r.AccessToken).SetText(ipc.KeyIssuer, t.issuer).
			SetInt(ipc.KeyExpiresAt, t.expiresAt)
		t.answer = a.sealer.Seal(secret.New(o.Compact()))
		o.Wipe()
	}
	r.AccessToken.Wipe()
	return t
}

// answerOf returns the answer to a request for a token.
func (a *agent) answerOf(t token) ([]byte, error) {
	text, err := a.sealer.Open(t.answer)
	answer := text.Reveal()
	if t.warning != "" && len(answer) > 0 {
		warning := append(cjson.Quote([]byte(`,"`+ipc.KeyWarning+`":`), t.warning), '}')
		answer = append(secret.Grow(answer[:len(answer)-1], len(warning)), warning...)
	}
	return answer, err
}

// keepLocked stores a token in the cache and drops expired ones, because scripts may ask for another audience in each
// job. The caller holds l.mu.
func (l *loaded) keepLocked(key tokenKey, t token, now moment) {
	for k, old := range l.tokens {
		if !old.exceeds(now, 0) {
			delete(l.tokens, k)
		}
	}
	l.tokens[key] = t
}
