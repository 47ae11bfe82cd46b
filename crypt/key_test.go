package crypt

import (
	"fmt"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

func TestMarshalKey(t *testing.T) {
	t.Parallel()
	hexKey, err := DeriveKey([]byte(exampleHexArgon2i), secret.FromString(examplePassword))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*Key{cheapKey(t, "secret"), mustExampleKey(t), hexKey} {
		file := mustEncrypt(t, k, "content")
		text := k.Marshal()
		if strings.ContainsAny(string(text.Reveal()), "\n\r\"\\ ") {
			t.Errorf("%v: the text needs quoting", k)
		}
		again, err := ParseKey(text.Reveal())
		if err != nil {
			t.Fatalf("%v: %v", k, err)
		}
		if !again.Marshal().Equal(text) || again.Format() != k.Format() {
			t.Errorf("%v comes back as %v", k, again)
		}
		if got, err := again.Decrypt([]byte(file)); err != nil || string(got.Reveal()) != "content" {
			t.Errorf("%v, marshalled: %q, %v", k, got.Reveal(), err)
		}
		if _, err := k.Decrypt([]byte(mustEncrypt(t, again, "more"))); err != nil {
			t.Errorf("what it wrote: %v", err)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	whole := string(cheapKey(t, "secret").Marshal().Reveal())
	fields := strings.Split(whole, ":")
	for _, v := range []struct {
		field int // counted from 0
		text  string
	}{
		{0, "c"}, {0, "hex"}, {0, "gpg"}, {0, ""}, {0, "SCRYPT"}, {1, "argon2id"}, {1, ""},
		{2, "3"}, {2, "+2"}, {2, "16777216"}, {2, "99999999999999999999"}, {3, "99999999"}, {4, "0"}, {4, ""},
		{5, ""}, {5, "MDEy"}, {5, fields[5] + "\n"}, {6, ""}, {6, "MDEy"}, {6, fields[6] + "\n"}, {6, fields[6] + ":"},
	} {
		changed := append([]string(nil), fields...)
		changed[v.field] = v.text
		k, err := ParseKey([]byte(strings.Join(changed, ":")))
		if err == nil || k != nil {
			t.Errorf("field %d = %q: accepted as %v", v.field, v.text, k)
		} else if strings.Contains(err.Error(), fields[6][:8]) {
			t.Errorf("field %d = %q: the error shows the key", v.field, v.text)
		}
	}
	for _, text := range []string{"", ":", "::::::", whole + " ", " " + whole, whole[:len(whole)-1]} {
		if _, err := ParseKey([]byte(text)); err == nil {
			t.Errorf("%q: accepted", text)
		}
	}
	ofC := string(mustExampleKey(t).Marshal().Reveal())
	for _, text := range []string{strings.Replace(ofC, ":2:65536", ":3:65536", 1), strings.Replace(ofC, "c:", "hex:", 1)} {
		if _, err := ParseKey([]byte(text)); err == nil {
			t.Errorf("%.20q: accepted", text)
		}
	}
}

func TestOtherKey(t *testing.T) {
	t.Parallel()
	k := cheapKey(t, "secret")
	otherSalt, err := newKey(FormatScrypt, cheapKDF, []byte("another salt of it"), secret.FromString("secret"))
	if err != nil {
		t.Fatal(err)
	}
	otherCost, err := newKey(FormatScrypt, kdf{"scrypt", [3]int{4, 1, 1}}, k.salt, secret.FromString("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		what, file, want string
	}{
		{"its own", mustEncrypt(t, k, "{}"), "opens"},
		{"another salt", mustEncrypt(t, otherSalt, "{}"), "other key"},
		{"other costs", mustEncrypt(t, otherCost, "{}"), "other key"},
		{"another format", exampleC, "other key"},
		{"another password", mustEncrypt(t, cheapKey(t, "other"), "{}"), "wrong password"},
		{"no file", "{}", "unknown"},
	} {
		if _, err := k.Decrypt([]byte(v.file)); class(err) != v.want {
			t.Errorf("%s: %v, want %s", v.what, err, v.want)
		}
	}
	if _, err := mustExampleKey(t).Decrypt([]byte(exampleHexArgon2id)); class(err) != "other key" {
		t.Errorf("another format with the same salt and costs: %v", err)
	}
}

// New keys have salts of their own and the costs that we mean to write.
func TestNewKey(t *testing.T) {
	t.Parallel()
	password := secret.FromString("secret")
	for f, want := range map[Format]kdf{FormatScrypt: scryptKDF, FormatC: cKDF} {
		first, err := NewKey(password, f)
		if err != nil {
			t.Fatal(err)
		}
		second, err := NewKey(password, f)
		if err != nil {
			t.Fatal(err)
		}
		if string(first.salt) == string(second.salt) || len(first.salt) != saltLength || first.kdf != want {
			t.Errorf("format %v: salts %x and %x, %v", f, first.salt, second.salt, first.kdf)
		}
	}
	file := mustEncrypt(t, &Key{FormatScrypt, scryptKDF, make([]byte, saltLength), secret.New(make([]byte, 64))}, "")
	if !strings.Contains(file, "\nscrypt N=65536 r=8 p=1 salt=AAAAAAAAAAAAAAAAAAAAAA==\n") {
		t.Errorf("wrote\n%s", file)
	}
	for _, f := range []Format{0, FormatHex, FormatGPG, 99} {
		if k, err := NewKey(password, f); err == nil {
			t.Errorf("format %v: made %v", f, k)
		}
	}
}

func TestWipedKey(t *testing.T) {
	t.Parallel()
	k := cheapKey(t, "secret")
	file := mustEncrypt(t, k, "{}")
	derived := k.derived.Reveal()
	k.Wipe()
	if string(derived) != strings.Repeat("\x00", 64) {
		t.Errorf("the derived bytes are still there: %x", derived)
	}
	for _, k := range []*Key{k, {}, {format: FormatGPG}, {format: 99}, {format: -1}} {
		if _, err := k.Encrypt(nil); err == nil {
			t.Errorf("%v encrypts", k)
		}
		if _, err := k.Decrypt([]byte(file)); err == nil {
			t.Errorf("%v decrypts", k)
		}
		if !k.Marshal().IsEmpty() {
			t.Errorf("%v has a text", k)
		}
	}
}

func TestKeyDoesNotPrint(t *testing.T) {
	t.Parallel()
	k := &Key{FormatScrypt, cheapKDF, nil, secret.FromString("hunter2")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, text := range []string{fmt.Sprintf(verb, k), fmt.Sprintf(verb, *k), fmt.Sprintf(verb, struct{ key *Key }{k})} {
			for _, form := range []string{"hunter2", "68756e74657232", "104 117 110"} {
				if strings.Contains(text, form) {
					t.Errorf("%s shows the key: %s", verb, text)
				}
			}
		}
	}
}
