package crypt

import (
	"strings"
	"testing"
)

// The C tools' own verdicts about their files, if sensible. The key of the example replaces the right password, so
// that no Argon2 run is needed.
func TestChangedCFile(t *testing.T) {
	t.Parallel()
	k := mustExampleKey(t)
	other := strings.Split(mustEncrypt(t, k, examplePlaintext), "\n")
	lines := strings.Split(exampleC, "\n")
	body := lines[4]
	for _, v := range []struct {
		line       int // counted from 1
		text, want string
	}{
		{1, "68", "damaged"},
		{1, "", "damaged"},
		{1, "99999999999999999999", "damaged"},
		{2, other[1], "damaged"},
		{2, lines[1][:30], "damaged"},
		{2, lines[1][:28], "damaged"}, // 21 bytes, right base64
		{2, strings.ToLower(lines[1][:31]) + "!", "damaged"},
		{3, lines[2][:20], "damaged"},
		{3, "", "damaged"},
		{3, "ZP2u8ydigM2JwdZigHxLig==", "other key"},
		{4, "24:16:16:32:7:4:33554432:1", "opens"}, // as in C: only the lengths count
		{4, "24:16:16:32", "opens"},
		{4, "24:16:16", "damaged"},
		{4, "24:16:16:31:1:2:67108864:2", "damaged"},
		{4, "24:8:16:32:1:2:67108864:2", "damaged"},
		{4, "-1:16:16:32:1:2:67108864:2", "damaged"},
		{4, "", "damaged"},
		{5, other[4], "damaged"},
		{5, body[:len(body)-4], "damaged"},
		{5, "B" + body[1:], "damaged"},
		{5, body[:40] + "=" + body[41:], "damaged"},
		{5, "", "damaged"},
		{6, lines[5][:4], "opens"},
		{6, "", "opens"}, // Poly1305 decides
		{6, "X" + lines[5][1:], "opens"},
		{7, "Generated using version: 2.1.0", "opens"},
		{7, "Generated using version: 99.0.0", "opens"},
		{7, "5.3.3-1", "opens"},
		{7, "", "opens"},
	} {
		changed := append([]string(nil), lines...)
		changed[v.line-1] = v.text
		plaintext, err := k.Decrypt(t.Context(), []byte(strings.Join(changed, "\n")))
		if got := class(err); got != v.want || err == nil && string(plaintext.Reveal()) != examplePlaintext {
			t.Errorf("line %d = %q: %q, %v, want %s", v.line, v.text, plaintext.Reveal(), err, v.want)
		}
	}
}

func TestCutCFile(t *testing.T) {
	t.Parallel()
	k := mustExampleKey(t)
	lines := strings.SplitAfter(exampleC, "\n")
	for n, want := range []string{"damaged", "damaged", "damaged", "damaged", "damaged", "damaged", "opens", "opens"} {
		if _, err := k.Decrypt(t.Context(), []byte(strings.Join(lines[:n], ""))); class(err) != want {
			t.Errorf("the first %d lines: %v, want %s", n, err, want)
		}
	}
	for i := range lines[:5] { // without line 6 it opens, as if that were empty
		file := strings.Join(lines[:i], "") + strings.Join(lines[i+1:], "")
		if _, err := k.Decrypt(t.Context(), []byte(file)); class(err) != "damaged" {
			t.Errorf("line %d missing: %v", i+1, err)
		}
	}
	for what, v := range map[string]struct{ file, want string }{
		"an LF at the end": {exampleC + "\n", "opens"},
		"CRLF":             {strings.ReplaceAll(exampleC, "\n", "\r\n"), "damaged"},
		"an eighth line":   {exampleC + "\nx", "damaged"},
	} {
		if _, err := k.Decrypt(t.Context(), []byte(v.file)); class(err) != v.want {
			t.Errorf("%s: %v, want %s", what, err, v.want)
		}
	}
}

// With a wrong password no check line, short or missing, opens the file or calls it damaged.
func TestCFileCheckLine(t *testing.T) {
	t.Parallel()
	wrong := mustExampleKey(t).derived.Clone().Reveal()
	wrong[0]++  // does not open the box
	wrong[63]++ // does not give the end of the check line
	e, err := parse([]byte(exampleC))
	if err != nil {
		t.Fatal(err)
	}
	whole := string(e.check)
	for n := range whole {
		e.check = []byte(whole[:n])
		_, err := e.open(wrong)
		want := "wrong password"
		if n >= minCheck && n < 43 { // the wrong key matches so far, so the file counts as damaged
			want = "damaged"
		}
		if class(err) != want {
			t.Errorf("check line of %d characters: %v, want %s", n, err, want)
		}
	}
	for _, check := range []string{whole, whole + "A", "AAAA", strings.Repeat("A", 44), strings.Repeat("A", 4000)} {
		e.check = []byte(check)
		if _, err := e.open(wrong); class(err) != "wrong password" {
			t.Errorf("check line %q: %v", check, err)
		}
	}
}

func TestDamagedHexFile(t *testing.T) {
	t.Parallel()
	fields := strings.Split(exampleHexArgon2i, ":")
	for _, v := range []struct {
		field int // counted from 1
		text  string
	}{
		{1, "68"}, {1, "x"}, {2, fields[1][2:]}, {2, "g" + fields[1][1:]}, {3, fields[2] + "00"}, {3, ""},
		{4, fields[3][2:]}, {4, fields[3][1:]}, {4, ""}, {4, fields[3] + ":00"},
	} {
		changed := append([]string(nil), fields...)
		changed[v.field-1] = v.text
		_, err := parseHex([]byte(strings.Join(changed, ":")))
		if class(err) != "damaged" {
			t.Errorf("field %d = %q: %v", v.field, v.text, err)
		}
	}
	if _, err := parseHex([]byte("4:" + fields[1] + ":" + fields[2] + ":00112233")); class(err) != "damaged" {
		t.Errorf("a box shorter than its MAC: %v", err)
	}
}

// Any changed byte of a C file gives the right content or an error, never a panic.
func TestEveryByteOfCFile(t *testing.T) {
	t.Parallel()
	k := mustExampleKey(t)
	for i := range exampleC {
		for _, b := range []byte{exampleC[i] ^ 1, '\n', 0, ':'} {
			file := []byte(exampleC)
			file[i] = b
			plaintext, err := k.Decrypt(t.Context(), file)
			if err == nil && string(plaintext.Reveal()) != examplePlaintext {
				t.Errorf("byte %d as %#x: opens as %q", i, b, plaintext.Reveal())
			}
			if got := class(err); !strings.Contains("opens, damaged, other key, unknown", got) {
				t.Errorf("byte %d as %#x: %v", i, b, err)
			}
		}
	}
	if got := tryOpen("69\n", "x"); got != "damaged" {
		t.Errorf("a line alone: %s", got)
	}
}
