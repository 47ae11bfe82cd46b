package crypt

import (
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

// An account's size, and a token's.
var benchText = strings.Repeat("x", 1000)

func BenchmarkDeriveScrypt(b *testing.B) { benchmarkDerive(b, scryptKDF) }

func BenchmarkDeriveArgon2id(b *testing.B) { benchmarkDerive(b, cKDF) }

func benchmarkDerive(b *testing.B, f kdf) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.derive([]byte("password"), make([]byte, saltLength), 64); err != nil {
			b.Fatal(err)
		}
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
		if _, err := k.Decrypt(file); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	s := mustSealer(b)
	b.ReportAllocs()
	for b.Loop() {
		s.Seal(secret.FromString(benchText))
	}
}

func BenchmarkUnseal(b *testing.B) {
	s := mustSealer(b)
	sealed := s.Seal(secret.FromString(benchText))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open(sealed); err != nil {
			b.Fatal(err)
		}
	}
}
