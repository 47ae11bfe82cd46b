package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

// fuzzIssuer is the one provider that the fuzzed agent reaches; every other host refuses.
const fuzzIssuer = "https://iam.example/"

// fuzzProvider answers everything at once: metadata, tokens, clients and devices in one object.
type fuzzProvider struct{}

func (fuzzProvider) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if r.URL.Host != "iam.example" {
		return nil, errors.New("connection refused")
	}
	o := cjson.New().SetText("issuer", fuzzIssuer).SetText("device_code", "device").SetText("user_code", "AB").
		SetText("verification_uri", fuzzIssuer).SetText("access_token", "at").SetText("refresh_token", "next").SetText("token_type", "Bearer").
		SetInt("expires_in", 60).SetText("id_token", "e30.e30.").SetText("client_id", "made").SetText("scope", "openid offline_access")
	for _, name := range []string{"authorization", "token", "registration", "device_authorization", "revocation"} {
		o.SetText(name+"_endpoint", fuzzIssuer+name)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: 200, Header: header, Body: io.NopCloser(strings.NewReader(string(o.Compact()))), Request: r}, nil
}

// fuzzedAgent has an account and a flow of each kind under way.
func fuzzedAgent(t *testing.T, log io.Writer, certPaths ...string) *agent {
	s := shipped
	s.Webserver = false
	a := newAgent(s, "/run/agent.sock", &logger{stderr: log, debug: true})
	client, err := oidc.NewClient(oidc.Options{Transport: fuzzProvider{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(certPaths, "") {
		setClient(a, path, client)
	}
	fresh := func() *account.Account {
		return &account.Account{
			Name: "demo", IssuerURL: fuzzIssuer, ClientID: "client", ClientSecret: secret.FromString("client-s3cr3t"),
			RefreshToken: secret.FromString("refresh-s3cr3t"), AuthScope: "openid",
		}
	}
	a.accounts.put(a.newLoaded(fresh()))
	for id, redirect := range map[string]string{"device": "", "0:0state:1:L": "http://localhost:4242"} {
		a.await(&login{
			account: a.newLoaded(fresh()), id: id, expires: a.now().Add(time.Minute), redirectURI: redirect,
			verifier: a.sealer.Seal(secret.FromString("v3rifier")),
		})
	}
	return a
}

// recordedRequests are those of the C tools' clients to their agents.
func recordedRequests(f *testing.F) (requests []string) {
	paths, err := filepath.Glob("../proto/interop/testdata/ipc/*/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		text, _, _ := strings.Cut(string(data), "\n< ")
		if request, ok := strings.CutPrefix(text, "> "); ok {
			requests = append(requests, strings.ReplaceAll(request, "http://127.0.0.1:9111/", fuzzIssuer))
		}
	}
	if len(requests) < 100 {
		f.Fatalf("only %d recorded requests", len(requests))
	}
	return requests
}

// FuzzRequests sends any object under each request's name, or as it is, to an agent that reaches no network. It runs
// in a bubble: what waits does so in no time, and who would wait for ever, or is left behind, fails the test.
func FuzzRequests(f *testing.F) {
	for _, request := range recordedRequests(f) {
		f.Add(uint8(0), []byte(request))
	}
	for i, h := range handlers {
		f.Add(uint8(i+1), []byte(`{"account":"demo","state":"0:0state:1:L","oidc_device":{"device_code":"device"},"filename":"x","data":"eA","password":"p",`+
			`"issuer":"`+fuzzIssuer+`","flow":["refresh"],"config":{"name":"`+h.name+`","issuer_url":"`+fuzzIssuer+`","refresh_token":"r"},`+
			`"redirect_uri":"http://localhost:4242?code=c&state=0:0state:1:L","registration_client_uri":"`+fuzzIssuer+`"}`))
	}
	f.Add(uint8(10), []byte("\x00demo\n\x07[\"refresh\",\"device\"]\n\x80other\n\x8adevice code"))
	home := f.TempDir()
	config := filepath.Join(home, "config")
	if err := os.Mkdir(config, 0o700); err != nil {
		f.Fatal(err)
	}
	f.Setenv("OIDC_CONFIG_DIR", config)
	f.Setenv("OIDC_ASKPASS", filepath.Join(home, "nobody is there to ask"))
	f.Fuzz(func(t *testing.T, which uint8, message []byte) {
		name := ""
		var certPaths []string
		o, err := cjson.Parse(slices.Clone(message))
		n := int(which) % (len(handlers) + 1)
		if err != nil && n > 0 {
			o, err = fromFields(message), nil
		}
		if err == nil {
			if n > 0 {
				message = o.SetText("request", handlers[n-1].name).Compact()
			}
			name, certPaths = o.Text("request"), []string{o.Text("cert_path"), inside(o, "config").Text("cert_path")}
			// The client says which file, and may choose any of the user's; here it is none.
			if path := filepath.Clean(inside(o, "file_key").Text("file")); filepath.IsAbs(path) && filepath.Dir(path) != config {
				return
			}
		}
		os.Remove(filepath.Join(config, "issuer.config"))
		synctest.Test(t, func(t *testing.T) { checkRequest(t, name, message, certPaths) })
		entries, err := os.ReadDir(home)
		if err != nil || len(entries) != 1 {
			t.Errorf("%q wrote %v, %v", message, entries, err)
		}
	})
}

// fromFields makes a request of any bytes: fields that end in a line feed, the first byte of each chooses its key.
func fromFields(text []byte) *cjson.Object {
	keys := [...]string{
		"account", "issuer", "min_valid_period", "scope", "audience", "application_hint", "pw_entry", "lifetime", "confirm",
		"plain_add", "always_allow_id_token", "file", "key", "flow", "oidc_device", "redirect_uri", "state", "filename", "data",
		"password", "only_at", "no_webserver", "config_endpoint", "timeout", "registration_client_uri", "registration_access_token",
	}
	o, config := cjson.New(), (&account.Account{Name: "new", IssuerURL: fuzzIssuer}).Object()
	for field := range bytes.Lines(text) {
		place, list, value := o, keys[:], bytes.TrimSuffix(field[1:], []byte("\n"))
		if field[0] >= 128 {
			place, list = config, config.Keys()
		}
		if key := list[int(field[0])%len(list)]; json.Valid(value) {
			place.SetRaw(key, value)
		} else {
			place.SetText(key, string(value))
		}
	}
	return o.SetObject("config", config)
}

// inside is an object in an object, or that itself where there is none.
func inside(o *cjson.Object, key string) *cjson.Object {
	if inner := o.Object(key); inner != nil {
		return inner
	}
	return o
}

func checkRequest(t *testing.T, name string, message []byte, certPaths []string) {
	log := new(buffer)
	a := fuzzedAgent(t, log, certPaths...)
	if name == ipc.RequestLock {
		a.lock.close() // its key derivation reads no input, and takes its time
	}
	asked := string(message)
	text := a.answer(context.Background(), message)
	answer, err := cjson.Parse(slices.Clone(text))
	if err != nil || !json.Valid(text) {
		t.Fatalf("%q is answered %q: %v", asked, text, err)
	}
	switch status := answer.Text("status"); status {
	case ipc.StatusSuccess, ipc.StatusAccepted, ipc.StatusNotFound, ipc.StatusFoundButReceived:
	case ipc.StatusFailure:
		if answer.Text("error") == "" {
			t.Errorf("%q is answered %q", asked, text)
		}
	default:
		t.Errorf("%q is answered with the status %q", asked, status)
	}
	if strings.Trim(string(message), "\x00") != "" {
		t.Errorf("%q is not wiped", asked)
	}
	if strings.Contains(log.String(), "s3cr3t") && !strings.Contains(asked, "s3cr3t") {
		t.Errorf("%q: the log shows a secret: %s", asked, log)
	}
	a.accounts.take(func(*loaded) bool { return true })
}

func FuzzParse(f *testing.F) {
	for _, line := range []string{"", "-c -t 60", "--json --quiet sh -c true", "-a /tmp/x", "--with-group", "--with-group=x -d", "--pw-store=x", "--lifetime=-1", "-?"} {
		f.Add(line)
	}
	f.Setenv("OIDC_CONFIG_DIR", f.TempDir())
	f.Fuzz(func(t *testing.T, line string) {
		s, _, err := parse(strings.Fields(line))
		if exit := new(cli.ExitError); err != nil && !errors.As(err, &exit) || s.Lifetime < 0 {
			t.Errorf("%q: %+v, %v", line, s, err)
		}
	})
}
