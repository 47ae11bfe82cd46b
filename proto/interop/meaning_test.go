package interop

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// A meaning says that two messages mean the same. ours is a pattern too, in which $1
// is the first group of theirs.
type meaning struct{ theirs, ours string }

// Patterns that several meanings share.
const (
	notJSON     = `provider answered with HTTP status \d+ \(.*\), JSON expected`
	noAnswer    = `(?:127\.0\.0\.1:\d+ closed the connection before its answer was complete|127\.0\.0\.1:\d+ did not answer within [\d.]+s)`
	noAgent     = `Error: could not connect to oidc-agent(?:: | at ).*`
	noDiscovery = `Error: the scopes that "$1" supports: `
)

// meanings are tried in order, on whole lines. A line of the C programs without a
// meaning must be printed literally.
var meanings = []meaning{
	// Some errors of C lack the word; all of ours begin with it.
	{`(OIDCD_PID not set, cannot kill Agent|Uri does not contain a state|operation forbidden|The account was not removed from oidc-agent .*|\w+ not set!)`, `Error: $1`},
	{`(Required argument .*|No account short name given\.|Account configuration '.*' already exists)`, `Error: $1`},
	{`(No account configuration found with that shortname|You have to specify a shortname to .*)`, `Error: $1`},
	{`(Dynamic client registration not successful for this issuer .*)`, `Error: $1`},
	{`No account with that shortname configured`, `Error: No account configuration found with that shortname`},
	{`kill: No such process`, `Error: kill \S+: no such process`},
	{`(Update|Rename) argument cannot be combined with no-save`, `Error: --no-save and --(?:update|rename) contradict each other`},
	{`Passwords do not match\.`, `Error: the passwords do not match: .*`},

	// The command line.
	{`(oidc-\w+): (-\w|--[\w-]+): \(PROGRAM ERROR\) Option should have been recognized!\?`, `$1: option '$2' cannot take ".*": .*`},

	// C reports every file that does not open as a wrong password.
	{`Error: reached maximum number of tries`, `Error: reached maximum number of tries: wrong password`},
	{`Error: reached maximum number of tries`, `Error: (?:password file ".*"|password command|environment variable ".*"): wrong password`},
	{`Error: reached maximum number of tries`, `Error: \S+: (?:password file ".*"|password command|environment variable ".*"): .*`},
	{`Error: reached maximum number of tries`, `Error: \S+: a password is needed, and there is no terminal to ask on`},
	{`Error: reached maximum number of tries`, `Error: \S+: (?:the file is damaged: .*|not an encrypted file of a known format)`},
	{`Error: reached maximum number of tries`, `Error: "\S+" is not a regular file`},
	{`Error: error tcsetattr`, `Error: there is no terminal to ask on`},

	// Files and names.
	{`error in user configuration file: could not parse json`, `Error: "\S+/config": malformed JSON .*`},
	{`Error: could not open file(?: - file does not exist)?`, `Error: "\S+.*": no such account file: file does not exist`},
	{`Error: could not open file - file does not exist`, `Error: ".*" is neither the name of a file in \S+ nor an absolute path`},
	{`Error: No account configured with that short name`, `Error: ".*" cannot be the name of an account: .*`},
	{`Error: Environment variable HOME is not set, cannot resolve ~\.`, `Error: .*HOME is not set.*`},
	{`Error: File exists`, `Error: creating the configuration directory: .*file exists`},
	{`Error: No such file or directory`, `Error: (?:run ".*": .*no such file or directory|command ".*" not found).*`},
	{`Error: Could not make temp socket directory`, `Error: directory for the socket: .*`},
	{`Error: Group does not exist`, `Error: Group does not exist: ".*"`},

	// No agent.
	{`Error: (?:Could not connect to oidc-agent|did not receive any response)`, noAgent},
	{`Error: did not receive any response`, `Error: the agent's answer cannot be read: .*`},
	{`Error: Could not get the socket path from env var 'OIDC_REMOTE_SOCK'\..*`, `Error: OIDC_REMOTE_SOCK is not set: .*`},
	{`Error: wrong state`, `Error: state malformed`},

	// The provider. C reports a broken connection as an internal error.
	{`Error while retrieving supported scopes for '(.*)': could not connect to url`, noDiscovery + `(?:could not connect to .*|issuer URL: .* is not an https URL.*)`},
	{`Error while retrieving supported scopes for '': Bad Request: issuer url .* must be given`, `Error: Required argument issuer url not given\..*`},
	{`Error while retrieving supported scopes for '(.*)': Provider uses another issuer url than expected\..*`, noDiscovery + `.*the provider calls itself ".*", not ".*"`},
	{`Error while retrieving supported scopes for '(.*)': Argument is NULL in function \w+`, noDiscovery + noAnswer},
	{`Error while retrieving supported scopes for '(.*)': Provider answered with unexpected response, JSON expected`, noDiscovery + `.*` + notJSON},
	{`Error while retrieving supported scopes for '(.*)': error with ssl cert`, noDiscovery + `.*its certificate comes from an unknown authority.*`},
	{`Error: Argument is NULL in function \w+`, `Error: ` + noAnswer},
	{`Error: Provider answered with unexpected response, JSON expected`, `Error: ` + notJSON},
	{`Error: could not find json key`, `Error: provider answered with HTTP status \d+ \(.*\), "access_token" is missing`},
	{`Polling oidc-agent to get the generated account configuration \.+`, `Polling oidc-agent to get the generated account configuration \.+`},
}

type compiledMeaning struct {
	theirs *regexp.Regexp
	ours   string
	used   *atomic.Bool
}

var compiledMeanings = func() []compiledMeaning {
	var all []compiledMeaning
	for _, m := range meanings {
		all = append(all, compiledMeaning{regexp.MustCompile("^(?:" + m.theirs + ")$"), m.ours, new(atomic.Bool)})
	}
	return all
}()

// sameMeaning reports whether a line of ours means the same as a recorded line.
func sameMeaning(recorded, got string, values map[string]string) (bool, error) {
	if ok, err := matches(sortedQuery(recorded), sortedQuery(got), values); ok || err != nil {
		return ok, err
	}
	theirs := fill(recorded, values)
	for _, m := range compiledMeanings {
		groups := m.theirs.FindStringSubmatch(theirs)
		if groups == nil {
			continue
		}
		ours := m.ours
		for i := len(groups) - 1; i > 0; i-- {
			ours = strings.ReplaceAll(ours, fmt.Sprintf("$%d", i), regexp.QuoteMeta(groups[i]))
		}
		re, err := regexp.Compile("^(?:" + ours + ")$")
		if err != nil {
			return false, err
		}
		if re.MatchString(got) {
			m.used.Store(true)
			return true, nil
		}
	}
	return false, nil
}

// checkMeanings refuses meanings that no transcript uses, after all have been played.
func checkMeanings(t *testing.T) {
	for _, m := range compiledMeanings {
		if !m.used.Load() {
			t.Errorf("no transcript needs the meaning %s = %s", m.theirs, m.ours)
		}
	}
}

// sortedQuery sorts the parameters of a line that is a URL: neither their order nor
// the encoding of a space matters. C sends no nonce.
func sortedQuery(line string) string {
	address, query, ok := strings.Cut(line, "?")
	if !ok || !strings.Contains(query, "&") || strings.Contains(line, " ") {
		return line
	}
	parameters := strings.Split(strings.ReplaceAll(query, "+", "%20"), "&")
	parameters = slices.DeleteFunc(parameters, func(p string) bool { return strings.HasPrefix(p, "nonce=") })
	slices.Sort(parameters)
	return address + "?" + strings.Join(parameters, "&")
}

// matches reports whether a text is the recorded one.
func matches(recorded, got string, values map[string]string) (bool, error) {
	p, err := pattern(recorded, values)
	if err != nil {
		return false, err
	}
	re, err := regexp.Compile(`\A(?:` + p + `)\z`)
	if err != nil {
		return false, err
	}
	return re.MatchString(got), nil
}

// A comparison compares an output with the recorded one.
type comparison func(recorded, got string, values map[string]string) (bool, error)

// sameOutput compares output for programs: it must be equal.
func sameOutput(recorded, got string, values map[string]string) (bool, error) {
	if text, ok := strings.CutSuffix(recorded, "\n[no newline at end]\n"); ok {
		recorded = text
	}
	return matches(recorded, got, values)
}

// sameMessages compares messages for people. The recorded lines must come in order,
// or lines with their meaning. Ours may add lines only after an error.
func sameMessages(recorded, got string, values map[string]string) (bool, error) {
	want, have := messages(recorded), messages(got)
	failed := false
	for len(want) > 0 {
		if len(have) == 0 {
			return false, nil
		}
		same, err := sameMeaning(want[0], have[0], values)
		if err != nil {
			return false, err
		}
		switch {
		case same:
			failed = failed || isError.MatchString(have[0])
			want = want[1:]
		case !failed:
			return false, nil
		}
		have = have[1:]
	}
	return failed || len(have) == 0, nil
}

// isError matches a line with an error of any program.
var isError = regexp.MustCompile(`^(?:Error|oidc-\w+): `)

var (
	mark = regexp.MustCompile(`«[^»]*»`)
	// Remarks of the recorder.
	remark = regexp.MustCompile(`^\[(?:no newline at end|the program has ended|nothing more is printed|still running)\]$`)
	// The QR code, which ours print only if it fits, and a hint of C without
	// information.
	qrCode = regexp.MustCompile(`^(?:\[QR code\]|Is a agent running\?|Alternatively you can use the following QR code.*|[ █▀▄]*[█▀▄][ █▀▄]*)$`)
	// The issuers to choose from are in /etc, where another package has put some.
	choice       = regexp.MustCompile(`(?m)^\[(\d+)\] (\S+)\n`)
	proposal     = regexp.MustCompile(`(?m)^Issuer \[(.*?)\]:`)
	otherIssuers = exists("/etc/oidc-agent/issuer.config")
	escape       = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)
)

// withoutIssuers removes the list of issuers, except the number of the proposed one.
func withoutIssuers(screen string) string {
	numbers := map[string]string{}
	for _, m := range choice.FindAllStringSubmatch(screen, -1) {
		numbers[m[2]] = m[1]
	}
	return choice.ReplaceAllString(proposal.ReplaceAllStringFunc(screen, func(prompt string) string {
		return "Issuer [number " + numbers[proposal.FindStringSubmatch(prompt)[1]] + "]:"
	}), "")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// messages splits a text into its lines, without empty ones. C programs report some
// errors in two functions; that is one message.
func messages(text string) []string {
	var lines []string
	text = escape.ReplaceAllString(text, "")
	if otherIssuers {
		text = withoutIssuers(text)
	}
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(mark.ReplaceAllString(line, ""), " \r")
		if line == "" || remark.MatchString(line) || qrCode.MatchString(line) {
			continue
		}
		if len(lines) > 0 && line == lines[len(lines)-1] && isError.MatchString(line) {
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

var (
	jwt          = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)
	shellMessage = regexp.MustCompile(`(?m)^(?:\S*bash|environment): line \d+: +\d+ ([A-Z])`)
)

// cleaned replaces texts of which only the kind matters by placeholders.
func cleaned(text string) string {
	text = jwt.ReplaceAllStringFunc(text, jwtKind)
	return shellMessage.ReplaceAllString(text, "[shell] $1")
}

// jwtKind distinguishes access tokens (RFC 9068 section 2.1) from ID tokens.
func jwtKind(token string) string {
	encoded, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	var header struct{ Typ string }
	if err != nil || json.Unmarshal(text, &header) != nil {
		return token
	}
	if header.Typ == "at+jwt" {
		return "<ACCESS_TOKEN>"
	}
	return "<ID_TOKEN>"
}

func TestSameMessages(t *testing.T) {
	values := map[string]string{"ISSUER": "http://127.0.0.1:1"}
	for _, c := range []struct {
		recorded, got string
		want          bool
	}{
		{"", "", true},
		{"", "\n", true},
		{"", "Hello\n", false},
		{"Error: x\n", "", false},
		{"Error: x\n", "Error: y\n", false},
		{"Error: x\nError: x\n", "Error: x\nload it: oidc-add demo\n", true},
		{"Error: x\n", "a warning\nError: x\n", false},
		{"Hello <ISSUER>/\n\n[QR code]\n", "Hello http://127.0.0.1:1/\n\n█▀ ▄\n", true},
		{"Hello <ISSUER>\n", "Hello http://127.0.0.1:2\n", false},
		{"Hello\n", "Hello\nand more\n", false},
		{"Password: «x⏎»\nName: «y⏎»y\n", "Password: \nName: y\n", true},
		{"Error: account not loaded\n", "Error: account not loaded\n\tload it\n", true},
		{"http://x/auth?b=<ISSUER>&a=c%20d", "http://x/auth?a=c+d&b=http://127.0.0.1:1", true},
		{"http://x/auth?b=<ISSUER>&a=c%20d", "http://x/auth?a=d+c&b=http://127.0.0.1:1", false},
		{"And enter the code: <USER_CODE>\n", "And enter the code: ABCD-EFGH\n", true},
	} {
		got, err := sameMessages(c.recorded, c.got, values)
		if err != nil || got != c.want {
			t.Errorf("%q and %q: %t, %v", c.recorded, c.got, got, err)
		}
	}
	list := "[1] <ISSUER>\n[2] https://x/y\nIssuer [https://x/y]: «1⏎»1\n"
	if got, want := withoutIssuers(list), "Issuer [number 2]: «1⏎»1\n"; got != want {
		t.Errorf("issuers: %q, want %q", got, want)
	}
	at := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"at+jwt"}`)) + ".eyJ9.x"
	id := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + ".eyJ9.x"
	if got := cleaned(at + " " + id); got != "<ACCESS_TOKEN> <ID_TOKEN>" {
		t.Errorf("JWTs: %s", got)
	}
	if i := slices.IndexFunc(meanings, func(m meaning) bool { return m.ours == "" }); i >= 0 {
		t.Errorf("meaning %q has nothing of ours", meanings[i].theirs)
	}
}
