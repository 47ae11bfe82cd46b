package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/oidc"
)

// fits reports whether an answer matches a pattern: * in a string stands for anything, and a number for any number.
func fits(want, got any) bool {
	switch want := want.(type) {
	case string:
		got, ok := got.(string)
		pattern := strings.ReplaceAll(regexp.QuoteMeta(want), `\*`, `(?s:.+)`)
		return ok && regexp.MustCompile("^"+pattern+"$").MatchString(got)
	case float64:
		_, ok := got.(float64)
		return ok
	case []any:
		got, ok := got.([]any)
		ok = ok && len(got) == len(want)
		for i := range want {
			ok = ok && fits(want[i], got[i])
		}
		return ok
	case map[string]any:
		got, ok := got.(map[string]any)
		ok = ok && len(got) == len(want)
		for name, value := range want {
			_, there := got[name]
			ok = ok && there && fits(value, got[name])
		}
		return ok
	}
	return want == got
}

// replay holds the values of the $NAMES in the recorded requests.
type replay struct {
	*world
	values map[string]string
}

// note keeps values that later requests need.
func (p *replay) note(answer map[string]any) {
	if device, err := json.Marshal(answer["oidc_device"]); err == nil && answer["oidc_device"] != nil {
		p.values["$DEVICE"] = string(device)
	}
	if state, ok := answer["state"].(string); ok {
		p.values["$STATE"], p.values["$URI"] = state, answer["uri"].(string)
	}
}

func (p *replay) act(deed string) {
	p.Helper()
	switch deed {
	case "approve":
		for _, code := range p.idp.UserCodes() {
			if err := p.idp.Approve(code); err != nil {
				p.Fatal(err)
			}
		}
	case "browse":
		p.values["$BACK"] = p.browseApproved(p.values["$URI"])
	case "browse through the web server":
		if status, page := get(p.TB, p.browseApproved(p.values["$URI"])); status != http.StatusOK {
			p.Errorf("the browser got %d %s", status, page)
		}
	default:
		p.Fatalf("nobody knows how to %q", deed)
	}
}

// browseApproved acts as a browser whose user approves.
func (p *replay) browseApproved(uri string) string {
	p.idp.Change(func(s *iam.Settings) { s.AutoApprove = true })
	defer p.idp.Change(func(s *iam.Settings) { s.AutoApprove = false })
	return p.browse(uri)
}

// The recorded requests of the C clients get the answers of the C agent.
func TestRecordedRequests(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/requests.txt")
	if err != nil {
		t.Fatal(err)
	}
	redirect := "http://localhost:" + freePort(t)
	w := newWorld(t, iam.Settings{}, redirect)
	p := &replay{w, map[string]string{
		"$ISSUER": w.idp.Issuer(), "$CLIENT": clientID, "$SECRET": clientSecret, "$REDIRECT": redirect, "$REFRESH": w.refreshToken(),
	}}
	name, request, played := "", "", 0
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "#":
			name = rest
		case "!":
			p.act(rest)
		case ">":
			request = p.fill(rest)
		case "<":
			played++
			p.play(name, request, p.fill(rest))
		}
	}
	if played < 60 {
		t.Errorf("only %d requests were played", played)
	}
}

func (p *replay) fill(text string) string {
	for name, value := range p.values {
		text = strings.ReplaceAll(text, name, value)
	}
	return text
}

func (p *replay) play(name, request, expected string) {
	p.Helper()
	var want, got map[string]any
	if err := json.Unmarshal([]byte(expected), &want); err != nil {
		p.Fatalf("%s: %v: %s", name, err, expected)
	}
	answer := p.agent.answer(p.Context(), []byte(request))
	if err := json.Unmarshal(answer, &got); err != nil {
		p.Errorf("%s: %v: %s", name, err, answer)
	}
	if !fits(want, got) {
		p.Errorf("%s:\nasked    %s\nanswered %s\nwant     %s", name, request, answer, expected)
	}
	p.note(got)
}

func TestBadMessages(t *testing.T) {
	t.Parallel()
	a := (&world{TB: t, log: new(buffer)}).newAgent()
	for _, message := range []string{``, `hello`, `[1]`, `{"request":"check"`, `{"request":"check"}}`} {
		want(t, askText(a, message), "Bad Request: could not parse json: ...")
	}
	for message, failure := range map[string]string{
		`{}`: "Bad Request: No request type.", `{"request":""}`: "Bad Request: No request type.",
		`{"request":null}`: "Bad Request: No request type.", `{"request":{"a":1}}`: "Bad Request: Unknown request type.",
		`{"request":"Check"}`:                          "Bad Request: Unknown request type.",
		`{"request":"access_token","account":"%s%n"}`:  "No account configured with that short name",
		`{"request":"access_token","account":{"a":1}}`: "No account configured with that short name",
		`{"request":"add","config":"x"}`:               "Bad Request: no account in 'config'",
		`{"request":"device","oidc_device":[]}`:        "wrong device code",
	} {
		want(t, askText(a, message), failure)
	}
	if reply := askText(a, " \x00{\"request\":\"check\"}\n\x00"); string(reply.Compact()) != `{"status":"success"}` {
		t.Errorf("answered %s", reply.Compact())
	}
}

// An OAuth error comes with the command that helps.
func TestInfo(t *testing.T) {
	t.Parallel()
	for code, command := range map[string]string{
		"invalid_grant": "oidc-gen demo --reauthenticate", "invalid_token": "oidc-gen demo --reauthenticate",
		"invalid_scope": "oidc-gen -m demo", "invalid_request": "oidc-gen -m demo",
		"invalid_client": "oidc-gen -d demo", "unauthorized_client": "oidc-gen -d demo", "server_error": "",
	} {
		if got := info(fmt.Errorf("refused: %w", &oidc.Error{Code: code}), "demo"); !strings.Contains(got, command) || (got == "") != (command == "") {
			t.Errorf("%s: %q", code, got)
		}
	}
}

// Hints name only accounts that exist.
func TestRequestAccount(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		`{"request":"access_token","account":"demo"}`:     "demo",
		`{"request":"add","config":{"name":"demo"}}`:      "demo",
		`{"request":"register","config":{"name":"demo"}}`: "",
		`{"request":"scopes"}`:                            "",
	} {
		if got := (request{askRequest(message)}).account(); got != want {
			t.Errorf("%s: %q", message, got)
		}
	}
}

// The bytes of a message are wiped, because it may hold secrets.
func TestMessageWiped(t *testing.T) {
	t.Parallel()
	a := (&world{TB: t, log: new(buffer)}).newAgent()
	message := []byte(`{"request":"unlock","password":"geheim"}`)
	a.answer(t.Context(), message)
	if strings.Trim(string(message), "\x00") != "" {
		t.Errorf("left %q", message)
	}
}

// A second write under a name does not replace the first, as in the C agent.
func TestNotes(t *testing.T) {
	t.Parallel()
	a := (&world{TB: t, log: new(buffer)}).newAgent()
	for _, c := range []struct{ request, answer string }{
		{`{"request":"file_read","filename":"x"}`, `{"status":"failure","error":"File not found"}`},
		{`{"request":"file_write","filename":"x","data":"Zmlyc3Q"}`, `{"status":"success"}`},
		{`{"request":"file_write","filename":"x","data":"c2Vjb25k"}`, `{"status":"success"}`},
		{`{"request":"file_write","filename":"y","data":""}`, `{"status":"success"}`},
		{`{"request":"file_read","filename":"x"}`, `{"status":"success","data":"Zmlyc3Q"}`},
		{`{"request":"file_read","filename":"x"}`, `{"status":"success","data":"Zmlyc3Q"}`},
		{`{"request":"file_read","filename":"y"}`, `{"status":"success","data":""}`},
		{`{"request":"file_remove","filename":"x"}`, `{"status":"success"}`},
		{`{"request":"file_remove","filename":"x"}`, `{"status":"success"}`},
		{`{"request":"file_read","filename":"x"}`, `{"status":"failure","error":"File not found"}`},
	} {
		if got := string(askText(a, c.request).Compact()); got != c.answer {
			t.Errorf("%s: %s, want %s", c.request, got, c.answer)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	w.must(w.agent, addRequest(w.account("status1"), ""))
	w.must(w.agent, addRequest(w.account("status2"), ""))
	const head = `####################################
##       oidc-agent status        ##
####################################

This agent is running version unknown.

This agent was started with the following options:
Lifetime:		`
	const tail = "\nCurrently there are 2 accounts loaded: status1, status2\n\n" +
		"status1: 2 answered from the cache, 1 refreshed, 1 failures\n\ttoken valid until TIME\n" +
		"\tlast error, TIME: invalid_scope: Up-scoping is not allowed.\n" +
		"status2: 0 answered from the cache, 1 refreshed, 0 failures\n\tloaded until TIME\n\ttoken valid until TIME\n\n"
	const token = `{"request":"access_token","account":"status1"}`
	w.must(w.agent, askRequest(token))
	w.must(w.agent, askRequest(token))
	askText(w.agent, `{"request":"access_token","account":"status1","scope":"no.such"}`)
	w.agent.setLifetime(w.agent.accounts.find("status2"), 60)
	times := regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
	numbers := regexp.MustCompile(`\d{2,}`)
	text := times.ReplaceAllString(w.must(w.agent, askRequest(`{"request":"status"}`)).Text("info"), "TIME")
	if want := head + "Forever\nConfirm:\t\tfalse\nAutoload:\t\ttrue\nAuto Re-authenticate:\ttrue\nUse custom URI scheme:\ttrue\nWebserver:\t\ttrue\n" +
		"Allow ID-Token:\t\tfalse\nGroup:\t\t\tfalse\nDaemon:\t\t\ttrue\nLog Debug:\t\tfalse\nLog to stderr:\t\tfalse\n" + tail; text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	w.agent.settings = settings{
		AgentConfig: account.AgentConfig{Lifetime: 10, Confirm: true, AlwaysAllowIDToken: true, Group: "grid", DebugLogging: true},
		console:     true, logStderr: true, shown: []string{"--a", "-b"},
	}
	text = times.ReplaceAllString(w.must(w.agent, askRequest(`{"request":"status"}`)).Text("info"), "TIME")
	if want := head + "10 seconds\nConfirm:\t\ttrue\nAutoload:\t\tfalse\nAuto Re-authenticate:\tfalse\nUse custom URI scheme:\tfalse\nWebserver:\t\tfalse\n" +
		"Allow ID-Token:\t\ttrue\nGroup:\t\t\tgrid\nDaemon:\t\t\tfalse\nLog Debug:\t\ttrue\nLog to stderr:\t\ttrue\n" + tail; text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	info := w.must(w.agent, askRequest(`{"request":"status_json"}`)).Object("info")
	if got := numbers.ReplaceAllString(string(info.Compact()), "N"); got != `{"version":"unknown","command_line_options":"--a -b","loaded_accounts":["status1","status2"],`+
		`"pid":N,"accounts":[{"name":"status1","cache_hits":2,"refreshes":1,"failures":1,"tokens":[{"scope":"","audience":"","expires_at":N}],`+
		`"last_error":"invalid_scope: Up-scoping is not allowed.","last_error_at":N},`+
		`{"name":"status2","cache_hits":0,"refreshes":1,"failures":0,"lifetime_ends":N,"tokens":[{"scope":"","audience":"","expires_at":N}]}]}` {
		t.Errorf("info %s", got)
	}
}
