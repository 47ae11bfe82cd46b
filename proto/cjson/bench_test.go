package cjson

import (
	"strings"
	"testing"
)

// benchAnswer is an answer of the agent, with a token of the usual size.
var benchAnswer = []byte(`{"status":"success","access_token":"` + strings.Repeat("eyJ0", 250) + `","issuer":"https://iam.example/","expires_at":1795453511}`)

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		o, err := Parse(benchAnswer)
		if err != nil || o.Text("issuer") == "" || o.Secret("access_token").Len() != 1000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkScanner(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s := new(Scanner)
		if end, err := s.End(benchAnswer); end != len(benchAnswer) {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompact(b *testing.B) {
	token := strings.Repeat("eyJ0", 250)
	b.ReportAllocs()
	for b.Loop() {
		New().SetText("status", "success").SetText("access_token", token).SetInt("expires_at", 1795453511).Compact()
	}
}
