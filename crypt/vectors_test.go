package crypt

import (
	"bytes"
	"testing"
)

// The vectors of RFC 7914 section 12, except the last, which takes 1 GiB. Those of RFC 9106 section 5.3 have a secret
// and associated data, which x/crypto/argon2 does not support. So Argon2 is tested with the vectors of its reference
// implementation (phc-winner-argon2, src/test.c, version 0x13) and with keys that libsodium derived.
func TestKDFVectors(t *testing.T) {
	t.Parallel()
	salt := string(unhex(t, exampleSalt))
	c, older := codecs[FormatC].costs, codecs[formatOlderHex].costs
	for _, v := range []struct {
		format               Format
		costs                costs
		password, salt, want string
	}{
		{FormatScrypt, costs{16, 1, 1}, "", "", `77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442
			fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906`},
		{FormatScrypt, costs{1024, 8, 16}, "password", "NaCl", `fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162
			2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640`},
		{FormatScrypt, costs{16384, 8, 1}, "pleaseletmein", "SodiumChloride", `7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2
			d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887`},
		{FormatC, costs{2, 1 << 16, 1}, "password", "somesalt", "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"},
		{formatOlderHex, costs{2, 1 << 16, 1}, "password", "somesalt", "c1628832147d9720c5bd1cfd61367078729f6dfb6f8fea9ff98158e0d7816ed0"},
		{FormatC, c, examplePassword, salt, `7ff328420410ba3bf1ad3cebce5597ff8563f10437594a054273dc25c1b1f1a7
			19447b709d99168aa7187f70a46ef965a576a61879e5af11552ee94e475314a6`},
		{FormatHex, c, examplePassword, salt, "9aab5a81db651bf866ff7b6169794d2ad9bb00f3d95177925a5fca692a34dbd1"},
		{formatOlderHex, older, examplePassword, salt, "d12724df31c6e5e2389fe81ef349d778a63add5a6e859b63acc597822fe92a2d"},
	} {
		want := unhex(t, v.want)
		got, err := v.costs.derive(v.format, []byte(v.password), []byte(v.salt), len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v, %v of %q: %x, %v, want %x", v.format, v.costs, v.password, got, err, want)
		}
	}
}

// C files are byte for byte what libsodium gives.
func TestWriteExampleFiles(t *testing.T) {
	t.Parallel()
	salt, nonce := string(unhex(t, exampleSalt)), [nonceLength]byte(unhex(t, exampleNonce))
	for f, want := range map[Format]string{
		FormatC: exampleC, FormatHex: exampleHexArgon2id, formatOlderHex: exampleHexArgon2i,
	} {
		k := mustDerive(t, recipe{f, codecs[f].costs, salt}, examplePassword)
		if got := k.encrypt([]byte(examplePlaintext), nonce); string(got) != want {
			t.Errorf("format %v: wrote\n%s\nwant\n%s", f, got, want)
		}
	}
}
