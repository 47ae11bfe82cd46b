package crypt

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

// resum corrects the checksum in the last line, to test the checks behind it.
func resum(text string) string {
	above := text[:strings.LastIndex(strings.TrimSuffix(text, "\n"), "\n")+1]
	return above + fmt.Sprintf(sumFormat, sha256.Sum256([]byte(above)))
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, k := range []*Key{cheapKey(t, "secret"), mustExampleKey(t)} {
		for _, n := range []int{0, 1, 31, 32, 33, 1000, 1 << 20} {
			plaintext := strings.Repeat("x", n)
			first, second := mustEncrypt(t, k, plaintext), mustEncrypt(t, k, plaintext)
			if first == second {
				t.Errorf("%v, %d bytes: two files are the same: the nonce is not fresh", k, n)
			}
			got, err := k.Decrypt(t.Context(), []byte(first))
			if err != nil || string(got.Reveal()) != plaintext {
				t.Errorf("%v, %d bytes: %d bytes, %v", k, n, got.Len(), err)
			}
			if strings.Contains(first, strings.Repeat("x", 31)) {
				t.Errorf("%v: the plaintext stands in the file", k)
			}
		}
	}
}

func TestFileIsPlainText(t *testing.T) {
	t.Parallel()
	file := mustEncrypt(t, cheapKey(t, "secret"), strings.Repeat("x", 500))
	for i, line := range strings.Split(strings.TrimSuffix(file, "\n"), "\n") {
		if len(line) > 80 || len(line) == 0 || strings.ContainsAny(line, ":\r\t") {
			t.Errorf("line %d is %q", i+1, line)
		}
	}
}

// A file of ours that is changed anywhere is damaged; the password is not to blame.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	whole := mustEncrypt(t, cheapKey(t, "secret"), examplePlaintext)
	lines := strings.SplitAfter(strings.TrimSuffix(whole, "\n"), "\n")
	check := func(what, file string) {
		t.Helper()
		_, _, err := Open([]byte(file), secret.FromString("secret"))
		if class(err) != "damaged" || !strings.Contains(err.Error(), " is damaged: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range lines {
		with := func(line string) string {
			return strings.Join(lines[:i], "") + line + strings.Join(lines[i+1:], "")
		}
		check(fmt.Sprintf("line %d missing", i+1), with(""))
		check(fmt.Sprintf("line %d cut", i+1), with(lines[i][:len(lines[i])/2]+"\n"))
		check(fmt.Sprintf("line %d doubled", i+1), with(lines[i]+"\n"+lines[i]))
		check(fmt.Sprintf("line %d with CRLF", i+1), with(strings.TrimSuffix(lines[i], "\n")+"\r\n"))
	}
	for i := range len(whole) - 1 {
		check(fmt.Sprintf("cut to %d bytes", i), whole[:i])
		check(fmt.Sprintf("byte %d changed", i), whole[:i]+string(rune(whole[i]^1))+whole[i+1:])
	}
	check("all CRLF", strings.ReplaceAll(whole, "\n", "\r\n"))
	check("text after it", whole+"x\n")
	check("an empty line after it", whole+"\n")
	check("upper-case checksum", whole[:len(whole)-65]+strings.ToUpper(whole[len(whole)-65:]))
	if got := tryOpen(strings.TrimSuffix(whole, "\n"), "secret"); got != "opens" {
		t.Errorf("without the last LF: %s", got)
	}
}

// With a right checksum, the authenticated parts distinguish a wrong password from damage.
func TestForgedFile(t *testing.T) {
	t.Parallel()
	k := cheapKey(t, "secret")
	whole := mustEncrypt(t, k, examplePlaintext)
	lines := strings.Split(whole, "\n")
	other := strings.Split(mustEncrypt(t, k, "{}"), "\n")
	for _, v := range []struct {
		what string
		line int
		text string
		want string
	}{
		{"nothing", 0, lines[0], "opens"},
		{"a later version", 0, "oidc-agent account file v2", "unknown"},
		{"another magic", 0, "oidc-agent account fil  v1", "unknown"},
		{"another nonce", 2, other[2], "wrong password"},
		{"another HMAC", 3, other[3], "wrong password"},
		{"another body", 4, other[4] + strings.Repeat("A", 40), "damaged"},
		{"a body that is too short", 4, "AAAA", "damaged"},
		{"a short nonce", 2, "nonce AAAA", "damaged"},
		{"no label", 2, strings.TrimPrefix(lines[2], "nonce "), "damaged"},
		{"a short HMAC", 3, "hmac-sha256 AAAA", "damaged"},
		{"another MAC", 3, "hmac-sha512" + lines[3][11:], "damaged"},
		{"base64 with loose bits", 5, lines[5][:len(lines[5])-3] + "1==", "damaged"},
		{"a body in other columns", 4, lines[4][:32] + "\n" + lines[4][32:], "damaged"},
		{"an empty line in the body", 4, "\n" + lines[4], "damaged"},
	} {
		changed := append([]string(nil), lines...)
		changed[v.line] = v.text
		if got := tryOpen(resum(strings.Join(changed, "\n")), "secret"); got != v.want {
			t.Errorf("%s: %s, want %s", v.what, got, v.want)
		}
	}
	if got := tryOpen(resum(strings.Join(lines[:3], "\n")+"\nx"), "secret"); got != "damaged" {
		t.Errorf("without HMAC and body: %s", got)
	}
	if got := tryOpen(whole, "Secret"); got != "wrong password" {
		t.Errorf("wrong password: %s", got)
	}
}

// Parameters are parsed strictly and checked before any work: those that are too costly would take minutes or more
// memory than there is.
func TestScryptParameters(t *testing.T) {
	t.Parallel()
	const salt = " salt=MDEyMzQ1Njc4OWFiY2RlZg=="
	lines := strings.SplitN(mustEncrypt(t, cheapKey(t, "secret"), "{}"), "\n", 3)
	for line, want := range map[string]string{
		"scrypt N=2 r=1 p=1" + salt:                                              "opens",
		"scrypt N=4 r=1 p=1" + salt:                                              "wrong password",
		"scrypt N=2097152 r=8 p=1" + salt:                                        "too costly", // 2 GiB
		"scrypt N=1048576 r=9 p=1" + salt:                                        "too costly",
		"scrypt N=65536 r=8 p=33" + salt:                                         "too costly", // 33 times the time that we take
		"scrypt N=2 r=1 p=1000000000" + salt:                                     "too costly",
		"scrypt N=2 r=4611686018427387904 p=1" + salt:                            "too costly", // 128*N*r = 0 mod 2^64
		"scrypt N=4294967296 r=4294967296 p=1" + salt:                            "too costly", // N*r = 0 mod 2^64
		"scrypt N=8388608 r=4611686018427387904 p=1" + salt:                      "too costly", // both, past every limit
		"scrypt N=9223372036854775808 r=1 p=1" + salt:                            "damaged",    // no int
		"scrypt N=18446744073709551618 r=1 p=1" + salt:                           "damaged",    // no int
		"scrypt N=3 r=1 p=1" + salt:                                              "damaged",
		"scrypt N=1 r=1 p=1" + salt:                                              "damaged",
		"scrypt N=0 r=1 p=1" + salt:                                              "damaged",
		"scrypt N=2 r=0 p=1" + salt:                                              "damaged",
		"scrypt N=2 r=1 p=0" + salt:                                              "damaged",
		"scrypt N=-2 r=1 p=1" + salt:                                             "damaged",
		"scrypt N=+2 r=1 p=1" + salt:                                             "damaged",
		"scrypt N=02 r=1 p=1" + salt:                                             "damaged",
		"scrypt N=0x2 r=1 p=1" + salt:                                            "damaged",
		"scrypt N=2e0 r=1 p=1" + salt:                                            "damaged",
		"scrypt N=2_0 r=1 p=1" + salt:                                            "damaged",
		"scrypt N= r=1 p=1" + salt:                                               "damaged",
		"scrypt N=2 r=1" + salt:                                                  "damaged",
		"scrypt r=1 N=2 p=1" + salt:                                              "damaged",
		"scrypt n=2 r=1 p=1" + salt:                                              "damaged",
		"scrypt N=2  r=1 p=1" + salt:                                             "damaged",
		" scrypt N=2 r=1 p=1" + salt:                                             "unknown",
		"Scrypt N=2 r=1 p=1" + salt:                                              "unknown",
		"argon2id t=2 m=65536 p=1" + salt:                                        "unknown",
		"":                                                                       "unknown",
		"scrypt":                                                                 "unknown",
		"scrypt N=2 r=1 p=1" + salt + " ":                                        "damaged",
		"scrypt N=2 r=1 p=1" + salt + " x=1":                                     "damaged",
		"scrypt N=2 r=1 p=1" + salt + "\r":                                       "damaged",
		"scrypt N=2 r=1 p=1 salt=":                                               "damaged",
		"scrypt N=2 r=1 p=1":                                                     "damaged",
		"scrypt N=2 r=1 p=1 salt=MDEyMzQ1Njc4OWFiY2RlZg":                         "damaged", // no padding
		"scrypt N=2 r=1 p=1 salt=MDEyMzQ1Njc4OWFiY2RlZh==":                       "damaged", // loose bits
		"scrypt N=2 r=1 p=1 salt=" + strings.Repeat("MDEy", 21):                  "wrong password",
		"scrypt N=2 r=1 p=1 salt=_____________________w==":                       "damaged", // URL alphabet
		"scrypt N=2 r=1 p=1 salt=MDEyMzQ1Njc4OWFiY2RlZg==MDEyMzQ1Njc4OWFiY2RlZg": "damaged",
	} {
		if got := tryOpen(resum(lines[0]+"\n"+line+"\n"+lines[2]), "secret"); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	ours := mustEncrypt(t, cheapKey(t, "secret"), "{}")
	random := make([]byte, 4096)
	for i := range random {
		random[i] = byte(rand.Uint32()) | 0x80
	}
	for _, v := range []struct{ what, file, want string }{
		{"ours", ours, "scrypt"},
		{"ours, its first line gone", ours[strings.IndexByte(ours, '\n')+1:], "scrypt"},
		{"ours, cut short", ours[:5], "scrypt"},
		{"C", exampleC, "c"},
		{"C without version line", exampleC[:strings.LastIndexByte(exampleC, '\n')], "c"},
		{"C, its first line gone", exampleC[3:], "c"},
		{"hex", exampleHexArgon2i, "hex"},
		{"gpg", armorBegin + "\n", "gpg"},
		{"empty", "", "damaged"},
		{"blank", "\n\n", "unknown"},
		{"random bytes", string(random), "unknown"},
		{"an account that is not encrypted", `{"name":"demo","issuer_url":"https://example.org/"}`, "unknown"},
		{"the same, tabbed", "{\n\t\"name\":\t\"demo\"\n}\n", "unknown"},
		{"a list", "1: a\n", "unknown"},
		{"prose", "hello: a: b: c\n", "unknown"},
	} {
		f, err := Detect([]byte(v.file))
		got := class(err)
		if err == nil {
			got = f.String()
		}
		if got != v.want {
			t.Errorf("%s: %s, want %s", v.what, got, v.want)
		}
		if _, _, err := Open([]byte(v.file), secret.FromString("secret")); err == nil && v.what != "ours" {
			t.Errorf("%s: opens", v.what)
		}
	}
}
