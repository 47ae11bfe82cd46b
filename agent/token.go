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

// token is an access token as the agent keeps it: sealed, so that a locked agent need not forget it.
type token struct {
	answer crypt.Sealed // the whole answer to a request for it
	id     crypt.Sealed // the id_token that came with it, if any
	issuer string
	lifespan
	crowd   time.Duration // since boot: until then it serves the crowd that had waited for it; see serves
	warning string        // for who gets it: what went wrong with the account's file
}

// tokenKey tells access tokens of one account apart: scope as a set, audience as a set.
type tokenKey struct{ scope, audience string }

// wordSet puts space-separated words into one order and drops repetitions: scope is a set (RFC 6749
// section 3.3).
func wordSet(words string) string {
	list := strings.Fields(words)
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

// tokenRequest is what a caller wants of an account.
type tokenRequest struct {
	scope    string // "" is all that was granted
	audience string
	minValid int64 // seconds
	force    bool  // a token of the cache will not do
}

func (r tokenRequest) key() tokenKey { return tokenKey{wordSet(r.scope), wordSet(r.audience)} }

// stragglers is how long a token that many had waited for serves those of the same crowd who come late and demand a
// longer life than the provider gives: the next token would be no better.
const stragglers = 200 * time.Millisecond

// serves reports whether the token will do for who wants it to live for so many seconds.
func (t token) serves(now moment, minValid int64) bool {
	return t.exceeds(now, minValid) || now.boot < t.crowd && t.exceeds(now, 0)
}

// tokenFrom makes a token of a provider's answer. The provider's expires_in is counted from before it was asked, so a
// slow answer does not lengthen it.
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

// answerOf is the answer that gives a token out.
func (a *agent) answerOf(t token) ([]byte, error) {
	text, err := a.sealer.Open(t.answer)
	answer := text.Reveal()
	if t.warning != "" && len(answer) > 0 {
		warning := append(cjson.Quote([]byte(`,"`+ipc.KeyWarning+`":`), t.warning), '}')
		answer = append(secret.Grow(answer[:len(answer)-1], len(warning)), warning...)
	}
	return answer, err
}

// keepLocked puts a token in the place of the one before, and forgets what has expired: scripts may ask for a new
// audience in each job. l.mu is held.
func (l *loaded) keepLocked(key tokenKey, t token, now moment) {
	for k, old := range l.tokens {
		if !old.exceeds(now, 0) {
			delete(l.tokens, k)
		}
	}
	l.tokens[key] = t
}
