package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"oidc-agent/proto/cjson"
)

// history is what has become of an account's token requests, for --status.
type history struct {
	hits      int64 // answered from the cache
	refreshes int64 // grants that brought a token
	failures  int64 // grants that did not
	last      string
	lastAt    time.Time
}

func (h *history) note(err error) {
	if err == nil {
		h.refreshes++
		return
	}
	h.failures++
	h.last, h.lastAt = strings.Join(strings.Fields(err.Error()), " "), time.Now()
}

// accountStatus is what --status says of an account, in words and as JSON.
func (a *agent) accountStatus(l *loaded) (text string, o *cjson.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &l.history
	o = cjson.New().SetText("name", l.name()).SetInt("cache_hits", h.hits).SetInt("refreshes", h.refreshes).SetInt("failures", h.failures)
	text = fmt.Sprintf("%s: %d answered from the cache, %d refreshed, %d failures\n", l.name(), h.hits, h.refreshes, h.failures)
	if l.ends > 0 {
		ends := time.Now().Add(l.ends - a.boot())
		o.SetInt("lifetime_ends", ends.Unix())
		text += "\tloaded until " + ends.Format(time.DateTime) + "\n"
	}
	tokens := []byte{'['}
	for i, key := range slices.SortedFunc(maps.Keys(l.tokens), func(a, b tokenKey) int { return strings.Compare(a.scope+a.audience, b.scope+b.audience) }) {
		t := l.tokens[key]
		each := cjson.New().SetText("scope", key.scope).SetText("audience", key.audience).SetInt("expires_at", t.expiresAt)
		if i > 0 {
			tokens = append(tokens, ',')
		}
		tokens = append(tokens, each.Compact()...)
		text += "\ttoken" + labelled(" for scope ", key.scope) + labelled(" for audience ", key.audience)
		if t.known {
			text += " valid until " + time.Unix(t.expiresAt, 0).Format(time.DateTime)
		}
		text += "\n"
	}
	o.SetRaw("tokens", append(tokens, ']'))
	if h.last != "" {
		o.SetText("last_error", h.last).SetInt("last_error_at", h.lastAt.Unix())
		text += "\tlast error, " + h.lastAt.Format(time.DateTime) + ": " + h.last + "\n"
	}
	return text, o
}

func labelled(label, text string) string {
	if text == "" {
		return ""
	}
	return label + text
}
