package crypt

import (
	"path/filepath"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

// Files of the C tools and of an earlier version open with their passwords and with no others.
func TestGoldenFiles(t *testing.T) {
	t.Parallel()
	for folder, want := range map[string]struct {
		format Format
		files  int
	}{"4.2.6": {FormatC, 4}, "5.3.3": {FormatC, 4}, "v1": {FormatScrypt, 1}} {
		passwords, err := filepath.Glob("testdata/" + folder + "/*.password")
		if err != nil || len(passwords) != want.files {
			t.Fatalf("testdata/%s has %d files with a password, want %d (%v)", folder, len(passwords), want.files, err)
		}
		for _, path := range passwords {
			t.Run(filepath.ToSlash(path), func(t *testing.T) {
				t.Parallel()
				name := strings.TrimSuffix(path, ".password")
				checkGolden(t, []byte(mustRead(t, name)), mustRead(t, path), mustRead(t, name+".plain.json"), want.format)
			})
		}
	}
}

// checkGolden opens a file. printed is the output of oidc-gen -p: the plaintext and a newline.
func checkGolden(t *testing.T, file []byte, password, printed string, format Format) {
	got, err := Detect(file)
	if err != nil || got != format {
		t.Errorf("Detect: %v, %v, want %v", got, err, format)
	}
	plaintext, k, err := Open(file, secret.FromString(password))
	if err != nil {
		t.Fatal(err)
	}
	if string(plaintext.Reveal())+"\n" != printed {
		t.Errorf("the plaintext is\n%s\nwant\n%s", plaintext.Reveal(), printed)
	}
	again, err := k.Decrypt(t.Context(), []byte(mustEncrypt(t, k, "new content")))
	if err != nil || string(again.Reveal()) != "new content" {
		t.Errorf("written again with its key it opens as %q, %v", again.Reveal(), err)
	}
}

func TestGoldenWrongPassword(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"4.2.6/ascii", "5.3.3/short", "v1/demo"} {
		b := []byte(mustRead(t, "testdata/"+file))
		for _, password := range []string{"", "wrong"} {
			if text, k, err := Open(b, secret.FromString(password)); class(err) != "wrong password" || k != nil || !text.IsEmpty() {
				t.Errorf("%s with %q: %v, %v", file, password, k, err)
			}
		}
	}
}

// No version that writes the hex formats could be recorded. These are the worked examples.
func TestHexFiles(t *testing.T) {
	t.Parallel()
	for _, file := range []string{exampleHexArgon2i, exampleHexArgon2id, exampleHexArgon2id + "\n"} {
		checkGolden(t, []byte(file), examplePassword, examplePlaintext+"\n", FormatHex)
	}
	if got := tryOpen(exampleHexArgon2i, "wrong"); got != "wrong password" {
		t.Errorf("wrong password: %s", got)
	}
}
