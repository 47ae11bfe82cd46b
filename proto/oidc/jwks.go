package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// keysLifetime is how long a JWK set is believed without looking again.
	keysLifetime = time.Hour
	// missPause is how long after a search for an unknown key there is no other: bad tokens must not make us flood
	// the provider.
	missPause = time.Minute
	// failPause is the same after a fetch that failed. A provider that is back must not be held off for long.
	failPause = 5 * time.Second
	// keysTimeout bounds a fetch, which whoever waits for a token waits for as well.
	keysTimeout = 4 * time.Second
	// maxTries bounds the keys that are tried on a token that does not name its key.
	maxTries = 16
)

// keyCache keeps the providers' keys by jwks_uri (Core section 10.1.1). No lock is held over the network:
// two who fetch at once both store the same.
type keyCache struct {
	mu   sync.Mutex
	sets map[string]keySet
}

type keySet struct {
	keys    []verificationKey
	expires time.Time // when to fetch it again
	missed  time.Time // when it was fetched last because a key was not in it
	failed  error     // of the last fetch; the keys are those before it
}

func (k *keyCache) load(uri string) keySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sets[uri]
}

func (k *keyCache) store(uri string, set keySet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sets == nil {
		k.sets = map[string]keySet{}
	}
	k.sets[uri] = set
}

var (
	errNoKey     = errors.New("the provider publishes no key that it is signed with")
	errSignature = errors.New("its signature is not valid")
)

// unverifiable is why nobody can tell whether a signature is right.
type unverifiable struct{ error }

func (u unverifiable) Unwrap() error { return u.error }

// verifySignature verifies with the provider's published keys, and with none that the token brings along
// (RFC 8725 section 3.10: jku, jwk, x5u and x5c are not looked at).
func (c *Client) verifySignature(ctx context.Context, md *Metadata, j *JWT, allowed []string) (algorithm, error) {
	alg, err := j.algorithm(allowed)
	if err != nil {
		return alg, err
	}
	if md.JWKSURI == "" {
		return alg, unverifiable{&NoEndpointError{Name: "jwks_uri"}}
	}
	now := time.Now()
	set := c.keys.load(md.JWKSURI)
	if now.After(set.expires) {
		set = c.renewKeys(ctx, md.JWKSURI, set)
	}
	err = set.verify(j, alg)
	if err == errNoKey && set.failed == nil && now.Sub(set.missed) > missPause {
		// Core section 10.1.1: the provider may have changed its keys a moment ago.
		set.missed = now
		set = c.renewKeys(ctx, md.JWKSURI, set)
		err = set.verify(j, alg)
	}
	if err == errNoKey && set.failed != nil {
		err = unverifiable{set.failed}
	}
	return alg, err
}

// renewKeys fetches a set anew. Where that fails the keys stay as they were, and the next attempt waits.
func (c *Client) renewKeys(ctx context.Context, uri string, old keySet) keySet {
	fetch, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	keys, err := c.fetchKeys(fetch, uri)
	set := keySet{keys: keys, expires: time.Now().Add(keysLifetime), missed: old.missed}
	if err != nil {
		set = keySet{old.keys, time.Now().Add(failPause), old.missed, err}
	}
	if ctx.Err() == nil { // a caller who left says nothing about the provider
		c.keys.store(uri, set)
	}
	return set
}

// algorithm reads the header. Algorithms are compared exactly: neither "None" nor "rs256" is one.
func (j *JWT) algorithm(allowed []string) (algorithm, error) {
	name := j.header.text("alg")
	j.header.text("kid") // for its error
	if j.header.has("crit") {
		return algorithm{}, errors.New("its header demands an extension (\"crit\") that we do not have") // RFC 7515 section 4.1.11
	}
	for _, alg := range algorithms() {
		if alg.name == name && (len(allowed) == 0 || slices.Contains(allowed, name)) {
			return alg, j.header.err
		}
	}
	return algorithm{}, fmt.Errorf("it is signed by %s, which is not accepted", shown(name))
}

// verify tries the keys that fit. A token that names a key of the set stands or falls by that; any other
// may be signed with one that we do not know yet.
func (set keySet) verify(j *JWT, alg algorithm) error {
	id, tries, named := j.header.text("kid"), 0, false
	for _, k := range set.keys {
		if !alg.fits(k.key) || k.alg != "" && k.alg != alg.name || id != "" && k.id != "" && k.id != id {
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		if alg.good(k.key, alg.hash, j.signed, j.signature) {
			return nil
		}
		named = named || id != "" && k.id == id
	}
	if named {
		return errSignature
	}
	return errNoKey
}

func (c *Client) fetchKeys(ctx context.Context, uri string) (keys []verificationKey, err error) {
	r, err := c.do(ctx, &request{method: http.MethodGet, url: uri})
	if err != nil {
		return nil, err
	}
	o, err := r.object()
	if err != nil {
		return nil, fmt.Errorf("keys at %s: %w", shown(uri), err)
	}
	var raw []json.RawMessage
	o.required("keys") // RFC 7517 section 5.1
	if o.get("keys", "an array", &raw); o.err != nil {
		return nil, fmt.Errorf("keys at %s: %w", shown(uri), o.err)
	}
	for _, key := range raw {
		if k, ok := parseKey(key); ok {
			keys = append(keys, k)
		}
	}
	return keys, nil
}
