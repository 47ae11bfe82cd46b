package account

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

func readSample(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", path))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mustParse(t testing.TB, text string) *Account {
	t.Helper()
	a, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return a
}

// keys lists the keys that 5.3.3 writes, in its order.
var keys = strings.Fields(`name client_name issuer_url mytoken_url config_endpoint device_authorization_endpoint
	daeSetByUser client_id client_secret refresh_token cert_path auth_scope refresh_scope
	audience oauth uses_pub_client mytoken_profile redirect_uris username password`)

// We write and print accounts byte for byte like 5.3.3.
func TestSamplesOf533(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ascii", "gpg", "short", "tls"} {
		a := mustParse(t, string(readSample(t, "5.3.3/"+name+".plain.json")))
		want := bytes.TrimRight(readSample(t, "5.3.3/"+name+".add-print.json"), "\n")
		if got := a.Object().Layout(); !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
		want = bytes.TrimRight(readSample(t, "5.3.3/"+name+".plain.json"), "\n")
		if got := a.Object().Compact(); !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// We keep every key that 4.2.6 wrote, and also write its scope as auth_scope.
func TestSamplesOf426(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ascii", "gpg", "short", "tls"} {
		text := readSample(t, "4.2.6/"+name+".plain.json")
		theirs, err := cjson.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		ours := mustParse(t, string(text)).Object()
		for _, key := range theirs.Keys() {
			if got, want := ours.Text(key), theirs.Text(key); strings.ReplaceAll(got, ",", ", ") != want && got != want {
				t.Errorf("%s: %s is %q, want %q", name, key, got, want)
			}
		}
		if got, want := ours.Text("auth_scope"), theirs.Text("scope"); got != want || got == "" {
			t.Errorf("%s: auth_scope is %q, want %q", name, got, want)
		}
		if got, want := ours.Keys()[:len(keys)], keys; !slices.Equal(got, want) {
			t.Errorf("%s: keys are %q, want %q", name, got, want)
		}
	}
}

// Each key is read into its field, and written as the C tools write it.
func TestKeys(t *testing.T) {
	t.Parallel()
	field := func(f func(*Account) *string) func(*Account) string {
		return func(a *Account) string { return *f(a) }
	}
	tests := []struct {
		key, value string
		get        func(*Account) string
	}{
		{"name", `"v"`, field(func(a *Account) *string { return &a.Name })},
		{"client_name", `"v"`, field(func(a *Account) *string { return &a.ClientName })},
		{"issuer_url", `"v"`, field(func(a *Account) *string { return &a.IssuerURL })},
		{"mytoken_url", `"v"`, field(func(a *Account) *string { return &a.MytokenURL })},
		{"config_endpoint", `"v"`, field(func(a *Account) *string { return &a.ConfigEndpoint })},
		{"device_authorization_endpoint", `"v"`, field(func(a *Account) *string { return &a.DeviceAuthorizationEndpoint })},
		{"daeSetByUser", `1`, func(a *Account) string { return fmt.Sprint(a.DeviceAuthorizationEndpointByUser) }},
		{"client_id", `"v"`, field(func(a *Account) *string { return &a.ClientID })},
		{"client_secret", `"v"`, func(a *Account) string { return string(a.ClientSecret.Reveal()) }},
		{"refresh_token", `"v"`, func(a *Account) string { return string(a.RefreshToken.Reveal()) }},
		{"cert_path", `"v"`, field(func(a *Account) *string { return &a.CertPath })},
		{"auth_scope", `"v"`, field(func(a *Account) *string { return &a.AuthScope })},
		{"audience", `"v"`, field(func(a *Account) *string { return &a.Audience })},
		{"oauth", `1`, func(a *Account) string { return fmt.Sprint(a.OAuth2) }},
		{"uses_pub_client", `1`, func(a *Account) string { return fmt.Sprint(a.UsesPubClient) }},
		{"mytoken_profile", `{"v":"true"}`, func(a *Account) string { return string(a.MytokenProfile) }},
		{"redirect_uris", `["v","w"]`, func(a *Account) string { return strings.Join(a.RedirectURIs, " ") }},
		{"username", `"v"`, field(func(a *Account) *string { return &a.Username })},
		{"password", `"v"`, func(a *Account) string { return string(a.Password.Reveal()) }},
	}
	for _, test := range tests {
		a := mustParse(t, `{"`+test.key+`":`+test.value+`}`)
		if got := test.get(a); !strings.Contains(got, "v") && got != "true" {
			t.Errorf("%s is read as %q", test.key, got)
		}
		if got := string(a.Object().Raw(test.key)); got != test.value {
			t.Errorf("%s is written as %s, want %s", test.key, got, test.value)
		}
	}
	if len(tests) != len(keys)-1 { // refresh_scope is in TestOlderKeys
		t.Errorf("%d keys are tried, %d exist", len(tests)+1, len(keys))
	}
}

func TestOlderKeys(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, issuer, scope, refreshScope string }{
		{`{"issuer":"old"}`, "old", "", ""},
		{`{"issuer":"old","issuer_url":"new"}`, "new", "", ""},
		{`{"issuer":"old","issuer_url":""}`, "old", "", ""},
		{`{"scope":"a b"}`, "", "a b", ""},
		{`{"scope":"a b","auth_scope":"c"}`, "", "c", ""},
		{`{"scope":"a b","auth_scope":"(null)"}`, "", "a b", ""},
		{`{"auth_scope":"c","refresh_scope":"d"}`, "", "c", "d"},
		{`{"scope":"a b","refresh_scope":"d"}`, "", "a b", ""},
		{`{"refresh_scope":"d"}`, "", "", ""},
	}
	for _, test := range tests {
		a := mustParse(t, test.in)
		if a.IssuerURL != test.issuer || a.AuthScope != test.scope || a.RefreshScope != test.refreshScope {
			t.Errorf("%s is read as %q, %q, %q, want %q, %q, %q", test.in,
				a.IssuerURL, a.AuthScope, a.RefreshScope, test.issuer, test.scope, test.refreshScope)
		}
		if o := a.Object(); o.Text("issuer_url") != test.issuer || o.Text("auth_scope") != test.scope ||
			o.Text("refresh_scope") != test.refreshScope {
			t.Errorf("%s is written as %s", test.in, o.Compact())
		}
	}
}

// An empty account has all keys, as in 5.3.3.
func TestEmptyAccount(t *testing.T) {
	t.Parallel()
	want := `{"name":"","client_name":"","issuer_url":"","mytoken_url":"","config_endpoint":"",` +
		`"device_authorization_endpoint":"","daeSetByUser":0,"client_id":"","client_secret":"","refresh_token":"",` +
		`"cert_path":"","auth_scope":"","refresh_scope":"","audience":"","oauth":0,"uses_pub_client":0,` +
		`"mytoken_profile":{},"username":"","password":""}`
	for _, in := range []string{`{}`, want, `{"oauth":"0","name":null,"redirect_uris":[],"mytoken_profile":"","daeSetByUser":false}`} {
		if got := string(mustParse(t, in).Object().Compact()); got != want {
			t.Errorf("%s is written as\n%s\nwant\n%s", in, got, want)
		}
	}
}

func TestUnknownKeysSurvive(t *testing.T) {
	t.Parallel()
	a := mustParse(t, `{"registration_access_token":"rat1","name":"demo","x":{"y":[1,"z"]},"scope":"a","n":1.50}`)
	a.AuthScope = "a b"
	a.Extra().SetSecret("registration_client_uri", secret.FromString("u"))
	o := a.Object()
	if got := strings.Join(o.Keys()[len(keys)-1:], " "); got != "registration_access_token x scope n registration_client_uri" {
		t.Errorf("after the known keys: %s", got)
	}
	for key, want := range map[string]string{
		"registration_access_token": `"rat1"`, "x": `{"y":[1,"z"]}`, "n": "1.50", "registration_client_uri": `"u"`,
		"scope": `"a b"`, // 4.2.6 reads it instead of auth_scope
	} {
		if got := string(o.Raw(key)); got != want {
			t.Errorf("%s is written as %s, want %s", key, got, want)
		}
	}
}

// An account shares no memory with its source or with what it returned, and Wipe reaches everything in it.
func TestCopiesAndWipe(t *testing.T) {
	t.Parallel()
	data := []byte(`{"client_secret":"hunter2","refresh_token":"hunter2","password":"hunter2","extra":"hunter2","mytoken_profile":{"k":"hunter2"}}`)
	a, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	before := string(a.Object().Compact())
	clear(data)
	a.Object().Wipe()
	if got := string(a.Object().Compact()); got != before || strings.Count(got, "hunter2") != 5 {
		t.Errorf("the account changed to %s", got)
	}
	held := [][]byte{a.ClientSecret.Reveal(), a.RefreshToken.Reveal(), a.Password.Reveal(), a.extra.Raw("extra"), a.MytokenProfile}
	a.Wipe()
	for i, b := range held {
		if bytes.Contains(b, []byte("hunter2")) {
			t.Errorf("Wipe left secret number %d", i)
		}
	}
	if got := string(a.Object().Compact()); strings.Contains(got, "hunter2") {
		t.Errorf("Wipe left %s", got)
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	many := strings.Builder{}
	for i := range 1001 {
		fmt.Fprintf(&many, `,"k%d":1`, i)
	}
	for _, in := range []string{"", "[]", `{"name":`, `{"refresh_token":"hunter2" x}`, "{" + many.String()[1:] + "}"} {
		_, err := Parse([]byte(in))
		if err == nil || !strings.HasPrefix(err.Error(), "account configuration: ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Parse(%.40q): %v", in, err)
		}
	}
	if _, err := FromObject(nil); err == nil {
		t.Error("no object is an account")
	}
}

func TestSameIssuer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want bool
	}{
		{"https://iam.example/", "https://iam.example", true},
		{"https://iam.example", "https://iam.example/", true},
		{"https://iam.example/x", "https://iam.example/x", true},
		{"https://iam.example//", "https://iam.example", false},
		{"https://iam.example/x", "https://iam.example", false},
		{"https://IAM.example", "https://iam.example", false},
	}
	for _, test := range tests {
		if got := SameIssuer(test.a, test.b); got != test.want {
			t.Errorf("SameIssuer(%q, %q) is %v", test.a, test.b, got)
		}
	}
}

// FuzzParse checks that an account that can be read is written as something that can be read as the same account.
func FuzzParse(f *testing.F) {
	samples, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(samples) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	for _, path := range samples {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(readSample(f, "clientconfig.plain.json"))
	f.Add([]byte(`{"scope":"a","refresh_scope":"b","issuer":"c","mytoken_profile":[1],"redirect_uris":"x","oauth":true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := Parse(data)
		if err != nil {
			return
		}
		want := a.Object().Compact()
		for _, text := range [][]byte{want, a.Object().Layout()} {
			again, err := Parse(text)
			if err != nil {
				t.Fatalf("%q is written as %q: %v", data, text, err)
			}
			if got := again.Object().Compact(); !bytes.Equal(got, want) {
				t.Fatalf("%q is written as %q, and that as %q", data, want, got)
			}
		}
	})
}
