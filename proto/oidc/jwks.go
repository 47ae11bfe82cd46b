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
	// keysLifetime is how long a JWK set is used. A key that the provider has withdrawn must not stay good.
	keysLifetime = time.Hour
	// missPause is how long unknown keys are not looked up again: bad tokens must not make us flood the provider.
	missPause = time.Minute
	// failPause is how long keys are not fetched again after a fetch that failed: while a provider's keys do not come,
	// one token in five seconds waits for them and not every one.
	failPause = 5 * time.Second
	// keysTimeout limits a fetch, because the user waits for it as well as for the token.
	keysTimeout = 4 * time.Second
	// maxKeys limits a JWK set, because a token that does not name its key is tried with all of them.
	maxKeys = 64
)

// keySet holds a provider's public keys (Core section 10.1.1).
type keySet struct {
	keys    []verificationKey
	expires time.Time // when to fetch them again
	retry   time.Time // when to look for an unknown key again
	failed  error     // of the last fetch; the keys are those before it
}

var errNoKey = errors.New("the provider publishes no key that it is signed with")

// unverifiable is the reason why a signature can be neither confirmed nor refuted. It does not unwrap: that the keys
// may be available later is no reason to present a refresh token again.
type unverifiable struct{ error }

// verify decodes a token and checks its signature with the keys that the provider publishes, never with one that the
// token brings along (RFC 8725 section 3.10: jku, jwk, x5u and x5c). The error is [unverifiable] if the keys are not
// available; known keys stay good then. Without a lock, two callers may fetch and store the same keys.
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
	err = set.verify(j, alg)
	// Core section 10.1.1: an unknown key may be a new one.
	if !now.Before(set.expires) || err == errNoKey && !now.Before(set.retry) {
		keys, failed := p.fetchKeys(ctx)
		if failed == nil {
			set = keySet{keys: keys, expires: now.Add(keysLifetime)}
			if err = set.verify(j, alg); err == errNoKey {
				set.retry = now.Add(missPause)
			}
		} else {
			again := time.Now().Add(failPause)
			set = keySet{set.keys, again, again, fmt.Errorf("keys at %s: %w", shown(p.JWKSURI), failed)}
		}
		if ctx.Err() == nil { // a caller that gave up says nothing about the provider
			p.keys.Store(p.JWKSURI, set)
		}
	}
	if err == errNoKey && set.failed != nil {
		err = unverifiable{set.failed}
	}
	return j, alg, err
}

func (p *Provider) fetchKeys(ctx context.Context) (keys []verificationKey, err error) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	err = p.exchange(ctx, newRequest(http.MethodGet, p.JWKSURI), func(o *object, _ *response) {
		var list []json.RawMessage
		o.required("keys") // RFC 7517 section 5.1
		o.get("keys", "an array", &list)
		for _, raw := range list {
			if k, ok := parseKey(raw); ok && len(keys) < maxKeys {
				keys = append(keys, k)
			}
		}
	})
	return keys, err
}

// verify tries the keys that fit the token's header. If the token names a key of the set, a signature by another key
// is invalid; otherwise the signature may be by a key that is not in the set.
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
		return errors.New("its signature is not valid")
	}
	return errNoKey
}
