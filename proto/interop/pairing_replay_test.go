package interop

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const cRecordings = "testdata/cclients"

// TestCClientsAsRecorded repeats recorded sessions with the same C clients, but with
// our agent. They must print the same as with the C agent, because scripts read it.
func TestCClientsAsRecorded(t *testing.T) {
	w := newCWorld(t)
	all := loadTranscripts(t, cRecordings)
	for _, d := range cDifferences {
		if !slices.ContainsFunc(all, func(tr transcript) bool { return tr.name == d.name && d.command <= len(tr.commands) }) {
			t.Errorf("there is no recording %s, command %d", d.name, d.command)
		}
	}
	tests := map[string]func(*testing.T){}
	for _, tr := range all {
		tests[tr.name] = func(t *testing.T) { w.replayC(t, tr) }
	}
	sideBySide(t, tests)
}

// A cDifference is a deliberate difference in the output of C clients with our agent.
type cDifference struct {
	name    string // of the recording
	command int    // counted from 1
	stream  string // stdout, stderr or exit
	ours    string // a pattern for it
	reason  string
}

// cDifferences lists all of them.
var cDifferences = []cDifference{
	{"token-aud", 1, "stdout", ``, asResource},
	{"token-aud", 1, "stderr", `Error: invalid_target: .*`, asResource},
	{"token-aud", 1, "exit", `1`, asResource},
	{"token-aud", 2, "stdout", ``, asResource},
	{"token-aud", 2, "stderr", `Error: invalid_target: .*`, asResource},
	{"token-scope-cache", 2, "stdout", "same token", "the cache knows that the order of scopes means nothing"},
	{"token-rotating-pw-store", 3, "stderr", `The provider gave a new refresh token, and it is not saved: .*`,
		"a relative pw_file leads the agent nowhere: C loses the token in silence"},
	{"add-revoked", 2, "stdout", `No account configurations are currently loaded\.`,
		"what could not be loaded is not loaded; C keeps it for ten seconds"},
}

const asResource = "an audience is sent as resource (RFC 8707), as 5.3.3 does; the provider does not know this one"

// newCWorld has our agent and the C clients in the PATH.
func newCWorld(t *testing.T) *world {
	t.Helper()
	bin, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "pairing-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(bin, "oidc-agent"), filepath.Join(dir, "oidc-agent")); err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{bin: dir, path: dir + ":/usr/bin:/bin", host: host, down: nobody(t)}
	key, cert := w.makeCertificate(t, t.TempDir())
	w.issuer = startRecorded(t)
	w.rotating = startRecorded(t, "--rotate")
	w.tls = startRecorded(t, "--tls", "--lifetime", "15", key, cert)
	w.makeAccount(t)
	return w
}

// replayC runs one recording and compares all output.
func (w *world) replayC(t *testing.T, tr transcript) {
	s, err := w.newStage(tr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.prepare(tr); err != nil {
		t.Fatal(err)
	}
	for i, c := range tr.commands {
		o, err := s.run(c, patience)
		if err != nil {
			t.Errorf("command %d: $ %s: %v", i+1, c.line, err)
		}
		for _, stream := range []string{"stdout", "stderr", "exit"} {
			compareC(t, tr, i+1, stream, cleaned(o.streams[stream]), s.values)
		}
	}
}

// spelling: 4.2.6 prints an issuer as the user wrote it, with a final slash. 5.3.3
// prints it as this provider's metadata has it, without.
var spelling = regexp.MustCompile(`(ISSUER>)/([";|\n])`)

func compareC(t *testing.T, tr transcript, number int, stream, got string, values map[string]string) {
	c := tr.commands[number-1]
	recorded, same := spelling.ReplaceAllString(c.streams[stream], "$1$2"), sameOutput
	switch stream {
	case "exit":
		recorded = c.exit
	case "stderr":
		same = sameMessages
	}
	equal, err := same(recorded, got, values)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(cDifferences, func(d cDifference) bool {
		return d.name == tr.name && d.command == number && d.stream == stream
	})
	switch {
	case i < 0 && !equal:
		t.Errorf("command %d: $ %s\n--- %s, on the C agent\n%s--- %s, on ours\n%s", number, c.line, stream, recorded, stream, got)
	case i >= 0 && equal:
		t.Errorf("command %d, %s: no longer different: %s", number, stream, cDifferences[i].reason)
	case i >= 0 && !regexp.MustCompile(`\A(?:`+cDifferences[i].ours+`)\n?\z`).MatchString(got):
		t.Errorf("command %d, %s: differs otherwise than meant: %q, want %q", number, stream, got, cDifferences[i].ours)
	}
}

// TestCTokenOptions checks that all options that 4.2.6 documents for oidc-token are
// recorded. That includes --seccomp, whose filter kills the client with any agent.
func TestCTokenOptions(t *testing.T) {
	var lines strings.Builder
	for _, tr := range loadTranscripts(t, cRecordings) {
		for _, c := range tr.commands {
			lines.WriteString(c.line + "\n")
		}
	}
	for _, o := range [][2]string{
		{"a", "all"}, {"c", "env"}, {"e", "expires-at"}, {"f", "force-new"}, {"i", "issuer"}, {"o", "token"}, {"t", "time"},
		{"", "aud"}, {"", "id-token"}, {"", "seccomp"}, {"s", "scope"}, {"V", "version"},
	} {
		used := `oidc-token [^\n;|)]*--` + o[1] + `\b`
		if o[0] != "" {
			used += `|oidc-token (?:[^\n;|)]* )?-` + o[0]
		}
		if !regexp.MustCompile(used).MatchString(lines.String()) {
			t.Errorf("no recording uses -%s, --%s", o[0], o[1])
		}
	}
}
