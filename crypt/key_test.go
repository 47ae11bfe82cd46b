package crypt

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

func TestMarshalKey(t *testing.T) {
	t.Parallel()
	_, hexKey, err := Open([]byte(exampleHexArgon2i), secret.FromString(examplePassword))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*Key{cheapKey(t, "secret"), mustExampleKey(t), hexKey} {
		file := mustEncrypt(t, k, "content")
		text := k.Marshal()
		if strings.ContainsAny(string(text.Reveal()), "\n\r\"\\") {
			t.Errorf("%v: the text needs quoting", k)
		}
		again, err := ParseKey(text.Reveal())
		if err != nil {
			t.Fatalf("%v: %v", k, err)
		}
		if !again.Marshal().Equal(text) || again.Format() != k.Format() {
			t.Errorf("%v comes back as %v", k, again)
		}
		if got, err := again.Decrypt(t.Context(), []byte(file)); err != nil || string(got.Reveal()) != "content" {
			t.Errorf("%v, marshalled: %q, %v", k, got.Reveal(), err)
		}
		if _, err := k.Decrypt(t.Context(), []byte(mustEncrypt(t, again, "more"))); err != nil {
			t.Errorf("what it wrote: %v", err)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	head, tail, _ := strings.Cut(string(cheapKey(t, "secret").Marshal().Reveal()), ":")
	fields := strings.Fields(head)
	for _, v := range []struct {
		field int // counted from 0
		text  string
	}{
		{0, "c"}, {0, "hex"}, {0, "gpg"}, {0, ""}, {0, "SCRYPT"},
		{1, "3"}, {1, "16777216"}, {1, "99999999999999999999"}, {2, "99999999"}, {3, "0"}, {3, ""}, {4, ""}, {4, "MDE"},
	} {
		changed := slices.Clone(fields)
		changed[v.field] = v.text
		k, err := ParseKey([]byte(strings.Join(changed, " ") + ":" + tail))
		if err == nil || k != nil {
			t.Errorf("field %d = %q: accepted as %v", v.field, v.text, k)
		} else if strings.Contains(err.Error(), tail[:8]) {
			t.Errorf("field %d = %q: the error shows the key", v.field, v.text)
		}
	}
	ofC := string(mustExampleKey(t).Marshal().Reveal())
	for _, text := range []string{
		"", ":", "::::::", "nonsense", "gpg:", head, head + ":", head + ":MDEy", head + ":" + tail[1:],
		strings.Replace(ofC, "c 2 65536", "c 3 65536", 1), "hex" + ofC[1:],
	} {
		if _, err := ParseKey([]byte(text)); err == nil {
			t.Errorf("%.20q: accepted", text)
		}
	}
}

func TestMarshalGPGKey(t *testing.T) {
	t.Parallel()
	k, err := ParseKey(GPGKey("0123456789ABCDEF").Marshal().Reveal())
	if err != nil || k.Format() != FormatGPG || k.gpgID != "0123456789ABCDEF" {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestOtherKey(t *testing.T) {
	t.Parallel()
	k := cheapKey(t, "secret")
	otherSalt := mustDerive(t, recipe{FormatScrypt, cheap.costs, "another salt of it"}, "secret")
	otherCost := mustDerive(t, recipe{FormatScrypt, costs{4, 1, 1}, cheap.salt}, "secret")
	for _, v := range []struct {
		what, file, want string
	}{
		{"its own", mustEncrypt(t, k, "{}"), "opens"},
		{"another salt", mustEncrypt(t, otherSalt, "{}"), "other key"},
		{"other costs", mustEncrypt(t, otherCost, "{}"), "other key"},
		{"another format", exampleC, "other key"},
		{"a gpg message", mustRead(t, "testdata/5.3.3/gpg"), "other key"},
		{"another password", mustEncrypt(t, cheapKey(t, "other"), "{}"), "wrong password"},
		{"no file", "{}", "unknown"},
	} {
		if _, err := k.Decrypt(t.Context(), []byte(v.file)); class(err) != v.want {
			t.Errorf("%s: %v, want %s", v.what, err, v.want)
		}
	}
	if _, err := mustExampleKey(t).Decrypt(t.Context(), []byte(exampleHexArgon2id)); class(err) != "other key" {
		t.Errorf("another format with the same salt and costs: %v", err)
	}
	if _, err := GPGKey("0123456789ABCDEF").Decrypt(t.Context(), []byte(exampleC)); class(err) != "other key" {
		t.Errorf("a file under a password, for gpg: %v", err)
	}
}

// New keys have fresh salts and the intended costs.
func TestNewKey(t *testing.T) {
	t.Parallel()
	password := secret.FromString("secret")
	for _, f := range []Format{FormatScrypt, FormatC} {
		first, err := NewKey(password, f)
		if err != nil {
			t.Fatal(err)
		}
		second, err := NewKey(password, f)
		if err != nil {
			t.Fatal(err)
		}
		if first.salt == second.salt || len(first.salt) != 16 || first.Format() != f {
			t.Errorf("format %v: salts %x and %x, %v", f, first.salt, second.salt, first.Format())
		}
		file, want := mustEncrypt(t, first, ""), "\nscrypt N=65536 r=8 p=1 salt="+string(encode64([]byte(first.salt)))+"\n"
		if f == FormatScrypt && !strings.Contains(file, want) {
			t.Errorf("wrote\n%s", file)
		}
	}
}

func TestWipedKey(t *testing.T) {
	t.Parallel()
	k := cheapKey(t, "secret")
	file, derived := mustEncrypt(t, k, "text"), k.derived.Reveal()
	k.Wipe()
	if string(derived) != strings.Repeat("\x00", 64) {
		t.Errorf("the derived bytes are still there: %x", derived)
	}
	if data, err := k.Encrypt(t.Context(), []byte("text")); err != errKeyGone || data != nil {
		t.Errorf("encrypts: %q, %v", data, err)
	}
	if text, err := k.Decrypt(t.Context(), []byte(file)); err != errKeyGone || !text.IsEmpty() {
		t.Errorf("decrypts: %v", err)
	}
}

func TestKeyDoesNotPrint(t *testing.T) {
	t.Parallel()
	k := &Key{recipe: cheap, derived: secret.FromString("hunter2")}
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
