package cli

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The help texts of the C tools, with two simplifications of GNU argp's layout: names that leave no room for a
// text have a line of their own, and no line is broken before 79 characters. A table that is read from such a text
// prints the same text, whatever the order of its rows.
func TestHelpLayout(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"token", "add", "agent"} {
		help, usage := recorded(t, name+"-help.txt"), recorded(t, name+"-usage.txt")
		p := readProgram(help)
		if len(p.Options) < 10 || len(p.Groups) != 2 {
			t.Fatalf("%s: read %d options in %d groups", name, len(p.Options), len(p.Groups))
		}
		slices.Reverse(p.Options)
		if got := p.help(); got != help {
			t.Errorf("%s: --help\n%s\nwant\n%s", name, got, help)
		}
		if got := p.usage(); got != usage {
			t.Errorf("%s: --usage\n%s\nwant\n%s", name, got, usage)
		}
	}
}

// recorded reads a text.
func recorded(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var (
	optionLine = regexp.MustCompile(`^(?:  -(.), |      )((?:--[^ ,]+, )*--[^ ,]+)(?: +(.*))?$`)
	longName   = regexp.MustCompile(`--([A-Za-z_-]+)(\[?)=?([^\], ]*)`)
)

// readProgram reads a help text into a table.
func readProgram(help string) *Program {
	lines := strings.Split(help, "\n")
	p := &Program{}
	p.Name, p.ArgsDoc, _ = strings.Cut(strings.TrimPrefix(lines[0], "Usage: "), " [OPTION...]")
	p.ArgsDoc = strings.TrimSpace(p.ArgsDoc)
	_, p.Doc, _ = strings.Cut(lines[1], " -- ")
	for _, line := range lines[2:] {
		if m := optionLine.FindStringSubmatch(line); m != nil {
			o := Option{Group: len(p.Groups) - 1, Help: m[3]}
			if m[1] != "" {
				o.Short = m[1][0]
			}
			for _, n := range longName.FindAllStringSubmatch(m[2], -1) {
				if o.Long == "" {
					o.Long = n[1]
				} else {
					o.Aliases = append(o.Aliases, n[1])
				}
				o.Optional, o.Arg = n[2] != "", strings.TrimPrefix(n[3], "=")
			}
			p.Options = append(p.Options, o)
		} else if text := strings.TrimSpace(line); strings.HasPrefix(line, strings.Repeat(" ", helpColumn)) {
			o := &p.Options[len(p.Options)-1]
			o.Help = strings.TrimSpace(o.Help + " " + text)
		} else if text == "Help:" {
			break // the options that every program has
		} else if strings.HasPrefix(line, " ") {
			p.Groups = append(p.Groups, text)
		}
	}
	return p
}

func TestHelpDetails(t *testing.T) {
	t.Parallel()
	p := &Program{Name: "x", Version: "1", Doc: "Does things.", Footer: "Manual: x(1). This footer goes on to the end of the line and breaks at two  here", Options: []Option{
		{Long: "configuration-endpoint", Aliases: []string{"config-endpoint", "discovery-endpoint"}, Arg: "ENDPOINT_URI", Help: "Where.\nOr there."},
		{Long: "hidden", Hidden: true, Help: "secret"},
		{Long: "zap", Short: 'Z', Help: "Another"},
		{Long: "zoom", Short: 'z', Arg: "N", Help: "With an argument"},
	}, Groups: []string{"All:"}}
	want := `Usage: x [OPTION...]
x -- Does things.

 All:
      --configuration-endpoint=ENDPOINT_URI, --config-endpoint=ENDPOINT_URI,
      --discovery-endpoint=ENDPOINT_URI
                             Where.
                             Or there.
  -z, --zoom=N               With an argument
  -Z, --zap                  Another

 Help:
  -?, --help                 Give this help list
      --usage                Give a short usage message
  -V, --version              Print program version

Mandatory or optional arguments to long options are also mandatory or optional
for any corresponding short options.

Manual: x(1). This footer goes on to the end of the line and breaks at two
here
`
	if got := p.help(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
