package interop

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"oidc-agent/proto/cjson"
)

// TestSocket sends our agent the requests that were sent to the C agents, in the
// same order, as plain JSON and through the box channel. The answers must have the
// same fields and status, and failures a text. Programs that use the socket directly
// depend on this.
func TestSocket(t *testing.T) {
	tests := map[string]func(*testing.T){}
	for _, version := range []string{"4.2.6", "5.3.3"} {
		for transport, call := range map[string]caller{"plain": callPlain, "box": callBox} {
			tests[version+" "+transport] = func(t *testing.T) {
				d := newDialogue(t, call, loadCaptures(t, "testdata/ipc/"+version))
				for _, c := range d.captures {
					d.play(c)
				}
				d.waiting.Wait()
			}
		}
	}
	sideBySide(t, tests)
}

// A capture is one recorded exchange.
type capture struct {
	name            string // of the file, without number and .txt
	request, answer string
}

func loadCaptures(t *testing.T, dir string) []capture {
	t.Helper()
	paths, err := filepath.Glob(dir + "/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no captures in %q: %v", dir, err)
	}
	number := func(path string) (n int) { fmt.Sscanf(filepath.Base(path), "%d", &n); return n }
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	var all []capture
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".txt"), "-")
		request, answer, ok := strings.Cut(strings.TrimPrefix(string(text), "> "), "\n< ")
		if !ok {
			t.Fatalf("%s: no exchange", path)
		}
		all = append(all, capture{name, request, strings.TrimSuffix(answer, "\n")})
		if name == "register-reply-without-scope" { // C answers the same if one is missing
			all = append(all, capture{"register-reply-with-less-scope", request, strings.TrimSuffix(answer, "\n")})
		}
	}
	return all
}

// A dialogue is a recorded session that is repeated. Later requests contain values
// from earlier answers, so each value in a recorded answer is mapped to the one that
// is returned now.
type dialogue struct {
	*pair
	call     caller
	captures []capture
	now      map[string]string         // current values, by recorded text
	requests map[string]string         // by the capture's name, as recorded
	answers  map[string]map[string]any // by the capture's name
	waiting  sync.WaitGroup
}

const recordedIssuer = "http://127.0.0.1:9111"

func newDialogue(t *testing.T, call caller, captures []capture) *dialogue {
	t.Helper()
	p := newPair(t)
	p.withPrompt()
	d := &dialogue{p, call, captures, map[string]string{}, map[string]string{}, map[string]map[string]any{}, sync.WaitGroup{}}
	p.startAgent("--no-autoreauthenticate")
	issuer := p.idp.Issuer()
	d.now[recordedIssuer+"/device/auth"] = issuer + "devicecode"
	d.now[recordedIssuer+"/"] = issuer
	d.now[recordedIssuer] = strings.TrimSuffix(issuer, "/")
	d.now["http://127.0.0.1:9119/"] = nobody(t) + "/"
	d.now["http://127.0.0.1:9115/"] = issuer
	d.generate("oidc-gen", "demo", "--scope=email")
	return d
}

// play sends one request, with current values, and compares the answers.
func (d *dialogue) play(c capture) {
	t := d.t
	t.Helper()
	if act := scenes[c.name]; act != nil {
		act(d, c)
	}
	if strings.HasSuffix(c.answer, "<TIMEOUT>") {
		d.waiting.Go(func() { d.playNoJSON(c) })
		return
	}
	defer d.idp.ClearFaults()
	answer, err := d.call(d.env["OIDC_SOCK"], d.translate(c.request))
	if err != nil {
		t.Errorf("%s: %v\n%s", c.name, err, d.translate(c.request))
		return
	}
	got, want := parse(t, answer, answer), parse(t, c.answer, standard(t, c.answer))
	d.requests[c.name], d.answers[c.name] = c.request, got
	status := want["status"]
	if other, ok := otherAnswers[c.name]; ok {
		status, want = other, map[string]any{}
	}
	if got["status"] != status {
		t.Errorf("%s: status %v, want %v\n%s", c.name, got["status"], status, answer)
	}
	if text, _ := got["error"].(string); got["status"] == "failure" && text == "" {
		t.Errorf("%s: a failure without a text: %s", c.name, answer)
	}
	d.compare(c.name, want, got)
}

// playNoJSON sends what the C agent takes for a key: it answers with its own and
// waits forever, and serves nobody else. Ours may wait some seconds for the rest of a
// message, but serves others in the meantime.
func (d *dialogue) playNoJSON(c capture) {
	answer, err := d.call(d.env["OIDC_SOCK"], c.request)
	if err != nil {
		d.t.Errorf("%s: %v", c.name, err)
		return
	}
	if got := parse(d.t, answer, answer); got["status"] != "failure" || got["error"] == "" {
		d.t.Errorf("%s: %s", c.name, answer)
	}
}

// otherAnswers are the statuses of answers that differ deliberately.
var otherAnswers = map[string]string{
	"op-quotetoken":         "success",  // C makes answers with sprintf, and the token's quote breaks them
	"reauthenticate":        "accepted", // 4.2.6 tries the code flow first, 5.3.3 the device flow
	"access_token-audience": "success",  // the recorded provider did not know the resource
	// Our agent knows the redirect URI that it has sent; in C only oidc-gen does.
	"code_exchange-slash-added-by-browser": "success",
	// RFC 7591 section 3.2.1: members that are not in the reply may be as requested.
	"register-reply-without-scope": "success",
}

func parse(t *testing.T, shown, text string) (object map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatalf("%v: %s", err, shown)
	}
	return object
}

// standard returns an answer of the C agent as valid JSON: it has newlines in strings.
func standard(t *testing.T, text string) string {
	t.Helper()
	object, err := cjson.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, key := range object.Keys() {
		if raw := object.Raw(key); raw[0] == '"' {
			object.SetText(key, object.Text(key))
		}
	}
	return string(object.Compact())
}

// translate replaces recorded texts by current values, the longest first.
func (d *dialogue) translate(text string) string {
	recorded := slices.SortedFunc(maps.Keys(d.now), func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, r := range recorded {
		pairs = append(pairs, r, d.now[r])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// ofProvider are objects with members of the provider or the user, which are mapped
// but not compared.
var ofProvider = regexp.MustCompile(`\.client$|^account_info\.info$|\.mytoken_profile$`)

// compare checks that everything that was recorded has the same names and kinds.
func (d *dialogue) compare(path string, want, got any) {
	d.t.Helper()
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			d.t.Errorf("%s is %T, want an object", path, got)
		}
		for key, value := range want {
			if other, ok := object[key]; ok {
				d.compare(path+"."+key, value, other)
			} else if !ofProvider.MatchString(path) {
				d.t.Errorf("%s.%s is missing", path, key)
			}
		}
	case []any:
		list, ok := got.([]any)
		if !ok {
			d.t.Errorf("%s is %T, want an array", path, got)
		}
		for i := range min(len(want), len(list)) {
			d.compare(path+"[]", want[i], list[i])
		}
	case string:
		text, ok := got.(string)
		if !ok && !ofProvider.MatchString(path) {
			d.t.Errorf("%s is %T, want a string", path, got)
		}
		if ok && len(want) > 5 && !strings.ContainsAny(want, " \n") && want != text && d.now[want] == "" {
			d.now[want] = text
		}
	default:
		if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) && !ofProvider.MatchString(path) {
			d.t.Errorf("%s is %T, want %T", path, got, want)
		}
	}
}

// mean maps a text of a recorded request, at a dotted path, to another.
func (d *dialogue) mean(c capture, path string, now any) {
	d.t.Helper()
	var at any = parse(d.t, c.request, c.request)
	for _, key := range strings.Split(path, ".") {
		object, _ := at.(map[string]any)
		at = object[key]
	}
	recorded, ok1 := at.(string)
	text, ok2 := now.(string)
	if !ok1 || !ok2 {
		d.t.Fatalf("%s: %s is %v, now %v: no texts", c.name, path, at, now)
	}
	d.now[recorded] = text
}

// checkLength: an answer must not have the length of a reader's buffer.
func checkLength(answer []byte) error {
	if len(answer)%4096 == 0 {
		return fmt.Errorf("the answer has %d bytes: careless readers fail at multiples of 4096", len(answer))
	}
	if bytes.IndexByte(answer, 0) >= 0 {
		return fmt.Errorf("the answer has a NUL in it")
	}
	return nil
}
