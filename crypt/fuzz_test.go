package crypt

import (
	"path/filepath"
	"strings"
	"testing"
)

// seedFiles adds the files that the C tools and we wrote.
func seedFiles(f *testing.F) {
	f.Helper()
	count := 0
	for _, name := range []string{"ascii", "short", "tls", "*.clientconfig", "gpg", "demo"} {
		paths, err := filepath.Glob("testdata/*/" + name)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			f.Add([]byte(mustRead(f, path)))
			count++
		}
	}
	if count != 11 {
		f.Fatalf("testdata has %d files for seeds, want 11", count)
	}
	for _, file := range []string{exampleC, exampleHexArgon2i, exampleHexArgon2id, mustEncrypt(f, cheapKey(f, "secret"), "{}"), ""} {
		f.Add([]byte(file))
	}
}

// FuzzOpen takes any file apart and opens it with bytes in place of a key: no KDF runs. What parses is written back
// the same: byte for byte in our format, whose bytes have one meaning only, and as the same envelope in the C tools'.
func FuzzOpen(f *testing.F) {
	seedFiles(f)
	f.Add([]byte(mustEncrypt(f, mustExampleKey(f), examplePlaintext)))
	f.Add([]byte(strings.Replace(mustEncrypt(f, cheapKey(f, "secret"), "{}"), "N=2 r=1", "N=1048576 r=16", 1)))
	f.Fuzz(func(t *testing.T, file []byte) {
		checkParse(t, file)
		for _, k := range []*Key{cheapKey(t, "secret"), mustExampleKey(t)} {
			text, err := k.Decrypt(file)
			if got := string(text.Reveal()); err == nil && got != "{}" && got != examplePlaintext {
				t.Fatalf("%v opens a file that it has not written: %q", k, got)
			}
			if err != nil && !strings.Contains("damaged, too costly, unknown, other key, wrong password", class(err)) {
				t.Fatalf("%v: %v", k, err)
			}
		}
		if body, ok := strings.CutPrefix(string(file), magic); ok { // else no change gets past the checksum
			checkParse(t, []byte(resum(magic+body)))
		}
	})
}

func checkParse(t *testing.T, file []byte) {
	e, err := parse(file)
	if err != nil {
		if !strings.Contains("damaged, too costly, unknown", class(err)) {
			t.Fatalf("parse: %v", err)
		}
		return
	}
	for _, f := range e.kdfs {
		if n, r, p := f.costs[0], f.costs[1], f.costs[2]; f.name == "scrypt" && (128*n*r > 1<<30 || n*r*p > 1<<24) || f.name != "scrypt" && f != cKDF && f != olderCKDF {
			t.Fatalf("a file makes us spend %v", f)
		}
	}
	c := codecs[e.format]
	if _, err := c.open(e, make([]byte, c.keyLength)); err == nil {
		t.Fatal("a key of zeros opens it")
	}
	text := c.text(e)
	if e.format == FormatScrypt && strings.TrimSuffix(string(file), "\n")+"\n" != string(text) {
		t.Fatalf("parsed\n%q\nwrote\n%q", file, text)
	}
	again, err := parse(text)
	if err != nil || again.format != e.format || string(c.text(again)) != string(text) {
		t.Fatalf("does not read what it wrote: %v\n%q", err, text)
	}
}

func FuzzParseKey(f *testing.F) {
	for _, k := range []*Key{cheapKey(f, "secret"), mustExampleKey(f)} {
		f.Add(k.Marshal().Reveal())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := ParseKey(text)
		if err != nil {
			return
		}
		if got := k.Marshal(); string(got.Reveal()) != string(text) {
			t.Fatalf("parsed %q, wrote %q", text, got.Reveal())
		}
		file, err := k.Encrypt([]byte("content"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.Decrypt(file); err != nil || string(got.Reveal()) != "content" {
			t.Fatalf("%v: %q, %v", k, got.Reveal(), err)
		}
	})
}

func FuzzGPGKeyID(f *testing.F) {
	seedFiles(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		if id, err := GPGKeyID(file); err == nil && !isKeyID(id) {
			t.Fatalf("the id is %q", id)
		}
	})
}
