package crypt

import (
	"path/filepath"
	"strings"
	"testing"
)

// seedFiles adds files that the C tools and we have written.
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

// FuzzOpen parses and opens files without running a KDF. A file that parses is written back the same: byte for byte
// in our format, which has one spelling only, and as the same envelope in the C tools' formats.
func FuzzOpen(f *testing.F) {
	seedFiles(f)
	f.Add([]byte(mustEncrypt(f, mustExampleKey(f), examplePlaintext)))
	f.Add([]byte(strings.Replace(mustEncrypt(f, cheapKey(f, "secret"), "{}"), "N=2 r=1", "N=1048576 r=16", 1)))
	f.Fuzz(func(t *testing.T, file []byte) {
		checkParse(t, file)
		for _, k := range []*Key{cheapKey(t, "secret"), mustExampleKey(t)} {
			text, err := k.Decrypt(t.Context(), file)
			if got := string(text.Reveal()); err == nil && got != "{}" && got != examplePlaintext {
				t.Fatalf("%v opens a file that it has not written: %q", k, got)
			}
			if err != nil && !strings.Contains("damaged, too costly, unknown, other key, wrong password", class(err)) {
				t.Fatalf("%v: %v", k, err)
			}
		}
		if body, ok := strings.CutPrefix(string(file), magic); ok { // otherwise no change gets past the checksum
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
	c := codecs[e.format]
	if n, r, p := e.costs[0], e.costs[1], e.costs[2]; e.format == FormatScrypt && (128*n*r > 1<<30 || n*r*p > 1<<24) || e.format != FormatScrypt && e.costs != c.costs {
		t.Fatalf("a file makes us spend %v", e.costs)
	}
	if _, err := e.open(make([]byte, c.keyLength)); err == nil {
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
		again, err := ParseKey(k.Marshal().Reveal())
		if err != nil || !again.Marshal().Equal(k.Marshal()) {
			t.Fatalf("parsed %q, wrote %q, read that with %v", text, k.Marshal().Reveal(), err)
		}
		if k.Format() == FormatGPG {
			return
		}
		file, err := k.Encrypt(t.Context(), []byte("content"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.Decrypt(t.Context(), file); err != nil || string(got.Reveal()) != "content" {
			t.Fatalf("%v: %q, %v", k, got.Reveal(), err)
		}
	})
}

func FuzzGPGKeyID(f *testing.F) {
	seedFiles(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		if id, err := gpgKeyID(file); err == nil && !isKeyID(id) {
			t.Fatalf("the id is %q", id)
		}
	})
}
