package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A transcript is a recorded session with the C programs. For the format of its file
// see testdata/transcripts/README.md.
type transcript struct {
	name     string // of the file, without .txt
	what     string
	files    bool // the home has the account file demo
	agent    bool // an agent runs
	loaded   bool // with the account demo
	setup    []setupCommand
	env      []variable
	commands []command
}

type setupCommand struct {
	line     string
	approved bool // the user approves a device flow
}

type variable struct {
	name, value string
	unset       bool
}

// A command is one line for the shell, with its output.
type command struct {
	line     string
	env      []variable
	stdin    *string
	user     string // what the user does meanwhile, in words
	terminal bool
	// The streams by the name of their section: stdout and stderr, or terminal.
	streams map[string]string
	exit    string
}

// loadTranscripts reads all transcripts of a folder.
func loadTranscripts(t *testing.T, dir string) []transcript {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts in %q: %v", dir, err)
	}
	var all []transcript
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parseTranscript(strings.TrimSuffix(filepath.Base(path), ".txt"), ownVersion.ReplaceAllString(string(text), "${1}<VERSION>"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, parsed)
	}
	return all
}

func parseTranscript(name, text string) (transcript, error) {
	tr := transcript{name: name}
	section := "" // the stream that lines belong to
	for number, line := range strings.SplitAfter(text, "\n") {
		trimmed := strings.TrimSuffix(line, "\n")
		word, rest, _ := strings.Cut(trimmed, " ")
		var last *command
		if len(tr.commands) > 0 {
			last = &tr.commands[len(tr.commands)-1]
		}
		var err error
		switch {
		case word == "---":
			section, err = last.open(rest)
		case section != "":
			last.streams[section] += line
		case word == "$":
			tr.commands = append(tr.commands, command{line: rest, streams: map[string]string{}})
		case word == "#" && last == nil:
			err = tr.note(rest)
		case word == "#":
			err = last.note(rest)
		case trimmed != "":
			err = fmt.Errorf("not understood")
		}
		if err != nil {
			return tr, fmt.Errorf("%s.txt:%d: %q: %w", name, number+1, trimmed, err)
		}
	}
	if len(tr.commands) == 0 {
		return tr, fmt.Errorf("%s.txt: no commands", name)
	}
	return tr, nil
}

// open starts a section. --- exit ends the last one and has no lines.
func (c *command) open(header string) (section string, err error) {
	if c == nil {
		return "", fmt.Errorf("a section before the first command")
	}
	if exit, ok := strings.CutPrefix(header, "exit "); ok {
		c.exit = exit
		return "", nil
	}
	c.streams[header] = ""
	c.terminal = header == "terminal"
	return header, nil
}

// note parses a line of the head.
func (tr *transcript) note(text string) error {
	key, value, _ := strings.Cut(text, ": ")
	switch key {
	case "what":
		tr.what = value
	case "needs":
		tr.files = !strings.Contains(value, "no account files")
		tr.agent = strings.Contains(value, "agent running")
		tr.loaded = strings.Contains(value, "account demo loaded")
	case "setup":
		line, approved := strings.CutSuffix(value, "   (the user approves)")
		tr.setup = append(tr.setup, setupCommand{line, approved})
	case "env":
		tr.env = append(tr.env, parseVariable(value))
	default:
		return fmt.Errorf("unknown note")
	}
	return nil
}

// note parses a line below a command.
func (c *command) note(text string) error {
	key, value, _ := strings.Cut(text, ": ")
	switch key {
	case "env":
		c.env = append(c.env, parseVariable(value))
	case "stdin":
		if c.stdin == nil {
			c.stdin = new(string)
		}
		if value != "(empty)" {
			*c.stdin += value + "\n"
		}
	case "user":
		c.user = value
	case "terminal", "took":
	default:
		return fmt.Errorf("unknown note")
	}
	return nil
}

func parseVariable(text string) variable {
	if name, ok := strings.CutSuffix(text, " unset"); ok {
		return variable{name: name, unset: true}
	}
	name, value, _ := strings.Cut(text, "=")
	return variable{name: name, value: value}
}

// placeholders replace what differs between runs. Those without a pattern here have
// one value in each run, see stage.values.
var placeholders = map[string]string{
	"ACCESS_TOKEN":   `(?:<ACCESS_TOKEN>|fake-access-token)`, // cleaned has checked the JWT
	"ID_TOKEN":       `<ID_TOKEN>`,
	"REFRESH_TOKEN":  `[\w-]{20,}`,
	"CLIENT_ID":      `[\w-]{10,}`,
	"CLIENT_SECRET":  `[\w-]{10,}`,
	"USER_CODE":      `[A-Z]{4}-[A-Z]{4}`,
	"STATE":          `[\w.~%:-]{8,}`,
	"CODE_CHALLENGE": `[\w-]{43}`,
	"RANDOM":         `\w{6}`,
	"VERSION":        `[\w.+-]+`,
	"TIME":           `1[789]\d{8}`,
	"CLOCK":          `[\d:.]+`,
	"PID":            `\d{2,7}`,
	"PORT":           `\d{4,5}`,
	"SOCKET":         `/\S*/oidc-\w{6}/oidc-agent\.\d+`,
	"SOCKET_DIR":     `/\S*/oidc-\w{6}`,
}

var placeholder = regexp.MustCompile(`<[A-Z_]+>`)

// pattern returns a regular expression for a recorded text, with the values of
// placeholders, or the patterns of those without a value.
func pattern(text string, values map[string]string) (string, error) {
	var out strings.Builder
	for {
		at := placeholder.FindStringIndex(text)
		if at == nil {
			out.WriteString(regexp.QuoteMeta(text))
			return out.String(), nil
		}
		name := text[at[0]+1 : at[1]-1]
		out.WriteString(regexp.QuoteMeta(text[:at[0]]))
		if value, ok := values[name]; ok {
			out.WriteString(regexp.QuoteMeta(value))
		} else if p, ok := placeholders[name]; ok {
			out.WriteString(p)
		} else {
			return "", fmt.Errorf("unknown placeholder <%s>", name)
		}
		text = text[at[1]:]
	}
}

// expand inserts values and patterns into a regular expression of ours.
func expand(expression string, values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(expression, func(name string) string {
		p, err := pattern(name, values)
		if err != nil {
			return name
		}
		return p
	})
}

// ownVersion matches a program's own version, which differs from ours.
var ownVersion = regexp.MustCompile(`(?m)(^oidc-\w+ |running version |"version":")5\.3\.3`)

// fill inserts the values into a command.
func fill(text string, values map[string]string) string {
	for name, value := range values {
		text = strings.ReplaceAll(text, "<"+name+">", value)
	}
	return text
}

// TestTranscriptFormat parses a transcript with everything in it.
func TestTranscriptFormat(t *testing.T) {
	tr, err := parseTranscript("x", `# what: a test
# needs: account file demo (password secret123, also in the file pw) | agent running | account demo loaded
# setup: oidc-gen -w device acc   (the user approves)
# setup: touch file
# env: A=b=c
# env: B unset
$ oidc-token demo
# env: C=d
# stdin: one
# stdin: two
# user: opens the URL
--- stdout
$ not a command
# not a note
--- stderr
--- exit 1
# took: 4 s
$ oidc-add -a
# terminal: 100x24; «…» is what the user types
--- terminal
a
--- exit none: still running after 5 s
`)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%v %v %v %v %v %q", tr.files, tr.agent, tr.loaded, tr.setup, tr.env, tr.what)
	if want := `true true true [{oidc-gen -w device acc true} {touch file false}] [{A b=c false} {B  true}] "a test"`; got != want {
		t.Errorf("head: %s, want %s", got, want)
	}
	for i, want := range []string{
		`oidc-token demo|[{C d false}]|opens the URL|false|map[stderr: stdout:$ not a command` + "\n# not a note\n" + `]|1`,
		`oidc-add -a|[]||true|map[terminal:a` + "\n" + `]|none: still running after 5 s`,
	} {
		c := tr.commands[i]
		if got := fmt.Sprintf("%s|%v|%s|%t|%v|%s", c.line, c.env, c.user, c.terminal, c.streams, c.exit); got != want {
			t.Errorf("command %d: %s, want %s", i+1, got, want)
		}
	}
	if in := tr.commands[0].stdin; in == nil || *in != "one\ntwo\n" {
		t.Errorf("stdin: %v", in)
	}
	for _, bad := range []string{"# what: nothing happens\n", "--- stdout\n", "$ x\nhello\n", "# nonsense: 1\n$ x\n"} {
		if _, err := parseTranscript("bad", bad); err == nil {
			t.Errorf("%q is taken for a transcript", bad)
		}
	}
}
