package main

import (
	"fmt"
	"testing"

	"oidc-agent/fakeidp/iam"
)

// BenchmarkCachedToken is what the agent does for a token that it has: from the bytes of the request to those of the
// answer. The number of accounts must not matter.
func BenchmarkCachedToken(b *testing.B) {
	for _, accounts := range []int{1, 1000} {
		b.Run(fmt.Sprint(accounts), func(b *testing.B) {
			w := newWorld(b, iam.Settings{})
			for i := range accounts {
				l := w.agent.newLoaded(w.config(fmt.Sprint("account", i)))
				w.agent.accounts.put(l)
			}
			w.must(w.agent, addRequest(w.account("demo"), ""))
			request := []byte(`{"request":"access_token","min_valid_period":0,"account":"demo","application_hint":"oidc-token"}`)
			message := make([]byte, len(request))
			b.ReportAllocs()
			for b.Loop() {
				copy(message, request) // the agent wipes it
				if answer := w.agent.answer(b.Context(), message); len(answer) < 500 {
					b.Fatalf("%s", answer)
				}
			}
		})
	}
}
