package crypt

import (
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

// About the size of an account or a token.
var benchText = strings.Repeat("x", 1000)

func BenchmarkDeriveScrypt(b *testing.B) { benchmarkDerive(b, FormatScrypt) }

func BenchmarkDeriveArgon2id(b *testing.B) { benchmarkDerive(b, FormatC) }

func benchmarkDerive(b *testing.B, f Format) {
	b.ReportAllocs()
	for b.Loop() {
		mustDerive(b, recipe{f, codecs[f].costs, "0123456789abcdef"}, "password")
	}
}

func BenchmarkEncrypt(b *testing.B) {
	k := cheapKey(b, "secret")
	b.ReportAllocs()
	for b.Loop() {
		mustEncrypt(b, k, benchText)
	}
}

func BenchmarkDecrypt(b *testing.B) {
	k := cheapKey(b, "secret")
	file := []byte(mustEncrypt(b, k, benchText))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Decrypt(b.Context(), file); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	s := NewSealer()
	b.ReportAllocs()
	for b.Loop() {
		s.Seal(secret.FromString(benchText))
	}
}

func BenchmarkUnseal(b *testing.B) {
	s := NewSealer()
	sealed := s.Seal(secret.FromString(benchText))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open(sealed); err != nil {
			b.Fatal(err)
		}
	}
}
