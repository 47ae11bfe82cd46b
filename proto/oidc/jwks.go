package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"oidc-agent/proto/secret"
)

const (
	// keysLifetime is how long a JWK set is believed without looking again.
	keysLifetime = time.Hour
	// missPause is how long after a search for an unknown key there is no other: bad tokens must not make us flood the
	// provider.
	missPause = time.Minute
	// failPause is the same after a fetch that failed: of many who wait for tokens only one shall wait for keys that do
	// not come. A provider that is back must not be held off for long.
	failPause = 5 * time.Second
	// keysTimeout bounds a fetch, which whoever waits for a token waits for as well.
	keysTimeout = 4 * time.Second
	// maxKeys bounds the keys of a set: all of them are tried on a token that does not name its key.
	maxKeys = 64
)

// keySet is what a client knows of a provider's keys (Core section 10.1.1). No lock is held over the network: two who
// fetch at once both store the same.
type keySet struct {
	keys    []verificationKey
	expires time.Time // when to fetch it again
	missed  time.Time // when it was fetched last because a key was not in it
	failed  error     // of the last fetch; the keys are those before it
}

var (
	errNoKey     = errors.New("the provider publishes no key that it is signed with")
	errSignature = errors.New("its signature is not valid")
)

// unverifiable is why nobody can tell whether a signature is right. It hides its cause: that a fetch of keys may succeed
// later is no reason to present a refresh token again.
type unverifiable struct{ error }

// verify takes a token apart and looks for its key among those that the provider publishes, and at none that the token
// brings along (RFC 8725 section 3.10: jku, jwk, x5u and x5c). The error is [unverifiable] where the keys cannot be had.
func (p *Provider) verify(ctx context.Context, token secret.Secret) (j *jwt, alg algorithm, err error) {
	if j, err = decodeJWT(token); err != nil {
		return j, alg, err
	}
	if alg, err = j.algorithm(); err != nil {
		return j, alg, err
	}
	if p.JWKSURI == "" {
		return j, alg, unverifiable{NoEndpointError("jwks_uri")}
	}
	known, _ := p.keys.Load(p.JWKSURI)
	set, _ := known.(keySet)
	now := time.Now()
	if now.After(set.expires) {
		set = p.renewKeys(ctx, set)
	}
	err = set.verify(j, alg)
	if err == errNoKey && set.failed == nil && now.Sub(set.missed) > missPause {
		// Core section 10.1.1: the provider may have changed its keys a moment ago.
		set.missed = now
		set = p.renewKeys(ctx, set)
		err = set.verify(j, alg)
	}
	if err == errNoKey && set.failed != nil {
		err = unverifiable{set.failed}
	}
	return j, alg, err
}

// renewKeys fetches a set anew. Where that fails the keys stay as they were, and the next attempt waits.
func (p *Provider) renewKeys(ctx context.Context, old keySet) keySet {
	fetch, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	set := keySet{expires: time.Now().Add(keysLifetime), missed: old.missed}
	err := p.exchange(fetch, newRequest(http.MethodGet, p.JWKSURI), func(o *object, _ *response) {
		var list []json.RawMessage
		o.required("keys") // RFC 7517 section 5.1
		o.get("keys", "an array", &list)
		for _, raw := range list {
			if k, ok := parseKey(raw); ok && len(set.keys) < maxKeys {
				set.keys = append(set.keys, k)
			}
		}
	})
	if err != nil {
		err = fmt.Errorf("keys at %s: %w", shown(p.JWKSURI), err)
		set = keySet{old.keys, time.Now().Add(failPause), old.missed, err}
	}
	if ctx.Err() == nil { // a caller who left says nothing about the provider
		p.keys.Store(p.JWKSURI, set)
	}
	return set
}

// verify tries the keys that fit. A token that names a key of the set stands or falls by that; any other may be signed
// with one that we do not know yet.
func (set keySet) verify(j *jwt, alg algorithm) error {
	id, named := j.header.text("kid"), false
	for _, k := range set.keys {
		if k.alg != "" && k.alg != alg.name || id != "" && k.id != "" && k.id != id {
			continue
		}
		if alg.verifies(j, k.key) {
			return nil
		}
		named = named || id != "" && k.id == id
	}
	if named {
		return errSignature
	}
	return errNoKey
}
