package main

import (
	"slices"
	"strings"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

// token is an access token as the agent keeps it: ready to be handed out.
type token struct {
	answer secret.Secret // the whole answer to a request for it
	id     secret.Secret // the id_token that came with it, if any
	issuer string
	lifespan
	flight uint64        // number of the flight that brought it; 0 for that of a login
	shared time.Duration // since boot: when it came, if several had waited for it
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
	id       bool  // the id_token is wanted as well
}

func (r tokenRequest) key() tokenKey { return tokenKey{wordSet(r.scope), wordSet(r.audience)} }

// stragglers is how long a token that many had waited for serves those of the same crowd who come late and demand a
// longer life than the provider gives: the next token would be no better.
const stragglers = 200 * time.Millisecond

// serves reports whether the token will do for who asks now.
func (t token) serves(now moment, r tokenRequest) bool {
	switch {
	case r.force:
		return false
	case t.shared > 0 && now.boot-t.shared < stragglers && (t.ends-t.shared).Seconds() <= float64(r.minValid):
		return t.exceeds(now, 0)
	}
	return t.exceeds(now, r.minValid)
}

// tokenFrom makes a token of a provider's answer. The provider's expires_in is counted from before it was asked, so a
// slow answer does not lengthen it.
func tokenFrom(p *provider, r *oidc.TokenResponse) token {
	t := token{issuer: p.Issuer, id: r.IDToken}
	if r.ExpiresIn > 0 {
		t.lifespan = lasting(p.asked, r.ExpiresIn)
	}
	if !r.AccessToken.IsEmpty() {
		o := ipc.Success("").SetSecret(ipc.KeyAccessToken, r.AccessToken).SetText(ipc.KeyIssuer, t.issuer).
			SetInt(ipc.KeyExpiresAt, t.expiresAt)
		t.answer = secret.New(o.Compact())
		o.Wipe()
	}
	r.AccessToken.Wipe()
	return t
}

// tokenAnswer is for an answer that is made once. It takes the token's bytes.
func tokenAnswer(t token) *cjson.Object {
	o, err := cjson.Parse(t.answer.Reveal())
	if err != nil {
		panic(err) // it is what tokenFrom wrote
	}
	return o
}

// copyLocked is the token for one caller, who gets to know what went wrong with the account's file. l.mu is held.
func (l *loaded) copyLocked(t token, r tokenRequest) token {
	answer := append(make([]byte, 0, t.answer.Len()+len(l.saving.warning)+64), t.answer.Reveal()...)
	if l.saving.warning != "" && len(answer) > 0 {
		answer = append(answer[:len(answer)-1], `,"`+ipc.KeyWarning+`":`...)
		answer = append(cjson.Quote(answer, l.saving.warning), '}')
	}
	t.answer = secret.New(answer)
	if r.id {
		t.id = t.id.Clone()
	} else {
		t.id = secret.Secret{}
	}
	return t
}

// keepLocked puts a token in the place of the one before, and forgets what has expired: scripts may ask for a new
// audience in each job. l.mu is held.
func (l *loaded) keepLocked(key tokenKey, t token, now moment) {
	for k, old := range l.tokens {
		if k == key || !old.exceeds(now, 0) {
			old.wipe()
			delete(l.tokens, k)
		}
	}
	l.tokens[key] = t
}

func (t token) wipe() {
	t.answer.Wipe()
	t.id.Wipe()
}
