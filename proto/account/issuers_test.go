package account

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oidc-agent/proto/cjson"
)

// tree writes files, given as pairs of path and contents, to a new directory. Each file is a minute older than the
// next.
func tree(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		mkdir(t, filepath.Dir(path))
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Date(2024, 1, 1, 0, i, 0, 0, time.UTC)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func mustLoad(t *testing.T, dirs ...string) Issuers {
	t.Helper()
	issuers, err := loadIssuers(dirs)
	if err != nil {
		t.Fatal(err)
	}
	return issuers
}

func urls(is Issuers) string {
	var list []string
	for _, i := range is {
		list = append(list, i.Issuer)
	}
	return strings.Join(list, " ")
}

func TestEveryKeyOfAnIssuer(t *testing.T) {
	t.Parallel()
	user := tree(t, issuerFile, `[{
		"issuer": "https://iam.example/", "accounts": ["one", "two"], "default_account": "two",
		"pubclient": {"client_id": "pub", "client_secret": "s1", "scope": "openid a", "redirect_uris": ["http://localhost:1"]},
		"config_endpoint": "ce", "cert_path": "cp", "device_authorization_endpoint": "dae", "register": "reg",
		"contact": "mail", "pw-store": true, "oauth": 1, "legacy_aud_mode": "true", "unknown": 1}]`)
	i := mustLoad(t, user, t.TempDir()).Find("https://iam.example")
	if i == nil {
		t.Fatal("not found without its slash")
	}
	if i.Issuer != "https://iam.example/" || strings.Join(i.Accounts, " ") != "one two" || i.DefaultAccount != "two" ||
		i.ConfigEndpoint != "ce" || i.CertPath != "cp" || i.Register != "reg" || i.Contact != "mail" || !i.LegacyAudMode {
		t.Errorf("got %+v", *i)
	}
	if p := i.PubClient; p.ClientID != "pub" || string(p.ClientSecret.Reveal()) != "s1" || p.Scope != "openid a" ||
		!slices.Equal(p.RedirectURIs, []string{"http://localhost:1"}) {
		t.Errorf("pubclient: %+v", p)
	}
	if got := i.Default(); got != "two" {
		t.Errorf("default account: %q", got)
	}
	i.DefaultAccount = ""
	if got := i.Default(); got != "one" {
		t.Errorf("without a default account: %q", got)
	}
	if got := (&Issuer{}).Default(); got != "" {
		t.Errorf("without accounts: %q", got)
	}
}

// The order is: the user's file, the user's directory by age, the file and the directory in /etc. The first value
// of a key counts.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	user := tree(t,
		issuerFile, `[{"issuer":"https://a","contact":"user"},{"issuer_url":"https://b"}, 7, {"contact":"nobody"},
			{"issuer":"https://d","contact":"","pubclient":null}]`,
		"issuer.config.d/zz-old", `{"issuer":"https://a/","contact":"old","cert_path":"old"}`,
		"issuer.config.d/aa-new", `[{"issuer":"https://a","cert_path":"new","register":"new"},{"issuer":"https://c"}]`,
		"issuer.config.d/.hidden", `[{"issuer":"https://hidden"}]`,
		"issuer.config.d/folder/x", `[{"issuer":"https://folder"}]`)
	etc := tree(t,
		issuerFile, `[{"issuer":"https://a","contact":"etc","register":"etc","legacy_aud_mode":true},{"issuer":"https://d"},{"issuer":"https://f"}]`,
		"issuer.config.d/x", `[{"issuer":"https://d","contact":"folder","pubclient":{"client_id":"site"}},{"issuer":"https://f","contact":"folder"}]`)
	issuers := mustLoad(t, user, etc)
	if got, want := urls(issuers), "https://a https://b https://d https://c https://f"; got != want {
		t.Errorf("issuers are %s, want %s", got, want)
	}
	a := issuers.Find("https://a")
	if a.Contact != "user" || a.CertPath != "old" || a.Register != "new" || !a.LegacyAudMode {
		t.Errorf("got %+v", *a)
	}
	if d := issuers.Find("https://d"); d.Contact != "" || d.PubClient.ClientID != "" {
		t.Errorf("what the user has emptied is the site's: %+v", *d)
	}
	if got := issuers.Find("https://f").Contact; got != "folder" {
		t.Errorf("a key of /etc's folder: %q", got)
	}
	if got := issuers.Find("https://e"); got != nil {
		t.Errorf("found %+v", *got)
	}
}

// The second word of a 4.x line is a default account in the user's file, and a registration page in the file in /etc.
func TestLinesOf4(t *testing.T) {
	t.Parallel()
	user := tree(t, issuerFile, "https://a/ demo\n\n  https://b\r\n# https://c\n")
	etc := tree(t, issuerFile, "https://a/ https://a/register help@a\nhttps://d https://d/register\nhttps://e\n")
	issuers := mustLoad(t, user, etc)
	if got, want := urls(issuers), "https://a/ https://b https://d https://e"; got != want {
		t.Errorf("issuers are %s, want %s", got, want)
	}
	a := issuers.Find("https://a/")
	if a.DefaultAccount != "demo" || !slices.Equal(a.Accounts, []string{"demo"}) || a.Register != "https://a/register" || a.Contact != "help@a" {
		t.Errorf("got %+v", *a)
	}
	if d := issuers.Find("https://d"); d.Register != "https://d/register" || d.Contact != "" || d.DefaultAccount != "" {
		t.Errorf("got %+v", *d)
	}
}

// Public clients of 4.x are added to what issuer.config says, and replace neither that nor the built-in list.
func TestPubClients(t *testing.T) {
	t.Parallel()
	user := tree(t,
		issuerFile, `[{"issuer":"https://a","pubclient":{"client_id":"json"}},{"issuer":"https://b/"}]`,
		"pubclients.config", "# x@https://comment\nid1@https://a@openid\nid@2:s3:cret@https://b@openid profile \n\nnonsense\n@https://c\n")
	etc := tree(t, "pubclients.config", "id3@https://b\nid4@https://d\n")
	issuers := mustLoad(t, user, etc)
	if a := issuers.Find("https://a").PubClient; a.ClientID != "json" || a.Scope != "" {
		t.Errorf("a: %+v", a)
	}
	b := issuers.Find("https://b").PubClient
	if b.ClientID != "id@2" || string(b.ClientSecret.Reveal()) != "s3:cret" || b.Scope != "openid profile" {
		t.Errorf("b: %+v", b)
	}
	if d := issuers.Find("https://d").PubClient; d.ClientID != "id4" || !d.ClientSecret.IsEmpty() {
		t.Errorf("d: %+v", d)
	}
	if issuers.Find("https://comment") != nil || issuers.Find("https://c") != nil || len(issuers) != 3+29 {
		t.Errorf("issuers are %s", urls(issuers))
	}
}

func TestBuiltinIssuers(t *testing.T) {
	t.Parallel()
	nothing := filepath.Join(t.TempDir(), "no")
	builtin := mustLoad(t, nothing)
	if len(builtin) != 29 || builtin[0].Issuer != "https://b2access.eudat.eu:8443/oauth2" ||
		builtin.Find("https://wlcg.cloud.cnaf.infn.it") == nil {
		t.Errorf("the list is %s", urls(builtin))
	}
	for _, i := range builtin {
		if !strings.HasPrefix(i.Issuer, "https://") {
			t.Errorf("%q", i.Issuer)
		}
	}
	user := tree(t, issuerFile, `[{"issuer":"https://wlcg.cloud.cnaf.infn.it","accounts":["w"]}]`)
	if got := mustLoad(t, user, nothing); len(got) != 29 || !slices.Equal(got[0].Accounts, []string{"w"}) {
		t.Errorf("with the user's own: %s", urls(got))
	}
	etc := tree(t, "issuer.config.d/site", `{"issuer":"https://site"}`)
	if got := urls(mustLoad(t, etc)); got != "https://site" {
		t.Errorf("where /etc has a list: %s", got)
	}
}

// The error names a damaged file, and the issuers of the other files are returned.
func TestDamagedIssuerFile(t *testing.T) {
	t.Parallel()
	user := tree(t, issuerFile, `[{"issuer":"https://a"`, "issuer.config.d/x", `{"issuer":"https://b"} x`)
	etc := tree(t, issuerFile, `[{"issuer":"https://c"}]`)
	issuers, err := loadIssuers([]string{user, etc})
	if err == nil || !strings.Contains(err.Error(), user+"/issuer.config\"") || !strings.Contains(err.Error(), "issuer.config.d/x") {
		t.Errorf("got %v", err)
	}
	if got := urls(issuers); got != "https://c" {
		t.Errorf("issuers are %s", got)
	}
	loop := filepath.Join(t.TempDir(), "issuer.config.d")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	if _, err := loadIssuers([]string{filepath.Dir(loop), etc}); err == nil || !strings.Contains(err.Error(), loop) {
		t.Errorf("a folder that cannot be read: %v", err)
	}
}

func TestNoteAccount(t *testing.T) {
	t.Parallel()
	user := tree(t, issuerFile, `[ {"issuer":"https://a/", "accounts":["one"], "my own":{"x":[1]}, "user_client":{"client_id":"c"}}, "text" ]`,
		"issuer.config.d/x", `{"issuer":"https://folder","contact":"x"}`)
	d := Dir{user}
	steps := []struct {
		belongs      bool
		issuer, name string
		want         string
	}{
		{true, "https://a", "two", `{"issuer":"https://a/","accounts":["one","two"],"my own":{"x":[1]},"user_client":{"client_id":"c"}} "text"`},
		{true, "https://folder/", "f", `{"issuer":"https://a/","accounts":["one","two"],"my own":{"x":[1]},"user_client":{"client_id":"c"}} "text" {"issuer":"https://folder/","accounts":["f"]}`},
		{false, "https://a/", "one", `{"issuer":"https://a/","accounts":["two"],"my own":{"x":[1]},"user_client":{"client_id":"c"}} "text" {"issuer":"https://folder/","accounts":["f"]}`},
		{false, "https://folder", "f", `{"issuer":"https://a/","accounts":["two"],"my own":{"x":[1]},"user_client":{"client_id":"c"}} "text" {"issuer":"https://folder/","accounts":[]}`},
	}
	for _, step := range steps {
		if err := NoteAccount(d, step.issuer, step.name, step.belongs); err != nil {
			t.Fatal(err)
		}
		if got := compactEntries(t, user); got != step.want {
			t.Errorf("%s, %s: got\n%s\nwant\n%s", step.issuer, step.name, got, step.want)
		}
	}
	text := contents(t, filepath.Join(user, issuerFile))
	if !strings.HasPrefix(text, "[{\n\t\t\"issuer\":\t\"https://a/\",\n") || !strings.HasSuffix(text, "}]\n") {
		t.Errorf("the layout is %q", text)
	}
	if got := mode(t, filepath.Join(user, issuerFile)); got != 0o600 {
		t.Errorf("mode %o", got)
	}
}

func compactEntries(t *testing.T, user string) string {
	t.Helper()
	raw, err := cjson.ParseArray([]byte(contents(t, filepath.Join(user, issuerFile))))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, e := range raw {
		if o, err := cjson.Parse(e); err == nil {
			e = o.Compact()
		}
		texts = append(texts, string(e))
	}
	return strings.Join(texts, " ")
}

// A 4.x file is converted to the 5.x format without losing anything.
func TestNoteAccountConverts4(t *testing.T) {
	t.Parallel()
	user := tree(t, issuerFile, "https://a/ demo\nhttps://b\n")
	if err := NoteAccount(Dir{user}, "https://a", "two", true); err != nil {
		t.Fatal(err)
	}
	want := `{"issuer":"https://a/","accounts":["demo","two"],"default_account":"demo"} {"issuer":"https://b"}`
	if got := compactEntries(t, user); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := NoteAccount(Dir{user}, "https://a", "demo", false); err != nil {
		t.Fatal(err)
	}
	want = `{"issuer":"https://a/","accounts":["two"]} {"issuer":"https://b"}`
	if got := compactEntries(t, user); got != want {
		t.Errorf("without the default account: %s, want %s", got, want)
	}
}

func TestNoteAccountWithoutFile(t *testing.T) {
	t.Parallel()
	user := t.TempDir()
	if err := NoteAccount(Dir{user}, "https://a", "x", false); err != nil {
		t.Error(err)
	}
	if got := entries(t, user); got != ".issuer.config.lock" {
		t.Errorf("removing nothing made %s", got)
	}
	if err := NoteAccount(Dir{user}, "https://a", "x", true); err != nil {
		t.Error(err)
	}
	if got := compactEntries(t, user); got != `{"issuer":"https://a","accounts":["x"]}` {
		t.Errorf("got %s", got)
	}
	if err := NoteAccount(Dir{}, "https://a", "x", true); err == nil {
		t.Error("noted without a directory")
	}
}

// A file that needs no change or is damaged is not written.
func TestIssuerFileStaysUntouched(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`[{"issuer":"https://a","accounts":["x"]}]`, `[{"issuer":"https://a"`, `{"issuer"`} {
		user := tree(t, issuerFile, text)
		path := filepath.Join(user, issuerFile)
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		damaged := !strings.HasSuffix(text, "]")
		if err := NoteAccount(Dir{user}, "https://a", "x", true); (err != nil) != damaged {
			t.Errorf("NoteAccount on %s: %v", text, err)
		}
		if err := NoteAccount(Dir{user}, "https://a", "y", false); (err != nil) != damaged {
			t.Errorf("NoteAccount on %s: %v", text, err)
		}
		after, err := os.Stat(path)
		if err != nil || !os.SameFile(before, after) || contents(t, path) != text {
			t.Errorf("%s became %s", text, contents(t, path))
		}
	}
}

// FuzzIssuers checks that entries in any format are written as something that can be read as the same entries.
func FuzzIssuers(f *testing.F) {
	for _, seed := range []string{
		"https://a/ demo\n# comment\nhttps://b\n",
		"https://a/ https://a/register help@a",
		`[{"issuer":"https://a/","accounts":["x"],"pubclient":{"client_id":"y","flow":["code"]}},1]`,
		`{"issuer":"https://a","pw-store":true}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, line := range []lineFunc{userLine, etcLine, pubClientLine} {
			first, err := parseEntries(data, line)
			if err != nil {
				return
			}
			text := cjson.LayoutArray(first)
			again, err := parseEntries(text, line)
			if err != nil {
				t.Fatalf("%q is written as %q: %v", data, text, err)
			}
			if got := cjson.LayoutArray(again); !bytes.Equal(got, text) {
				t.Fatalf("%q is written as %q, and that as %q", data, text, got)
			}
		}
	})
}
