package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// chapters are the chapters of the README with commands; "" is the part before the first chapter. The commands of a
// chapter are run as they are, in one shell on a terminal.
var chapters = map[string]struct {
	before  map[string]string // what the user has done before a command
	answers string
}{
	"": {answers: makeDemo},
	"Five minutes on a real IAM": {
		before: map[string]string{
			"oidc-add demo": "eval $(oidc-agent -k); eval $(oidc-agent)", // a new agent
			"oidc-add -X":   "date",                                      // the time between
		},
		answers: makeDemo +
			"? decryption password for account config 'demo': $\n* pw\n" + // oidc-add demo
			"? decryption password for account config 'demo': $\n* pw\n" + // oidc-add -p demo
			"? decryption password for account config 'demo': $\n* pw\n" + // oidc-gen --reauthenticate
			"? decryption password for account config 'demo': $\n* pw\n" + // oidc-gen -d
			"? really want .*: $\n> yes\n" +
			"? assword.*: $\n* lunch\n? assword.*: $\n* lunch\n" + // oidc-add -x
			"? assword.*: $\n* lunch\n",
	},
	"On other machines": {before: map[string]string{
		"ssh login rm -f /tmp/oidc-$USER.sock": "eval $(oidc-agent)",
	}},
	"Token files and jobs": {
		before: map[string]string{
			"oidc-add --bearer-file demo": "export XDG_RUNTIME_DIR=$HOME; eval $(oidc-agent); oidc-gen -w device demo",
		},
		answers: makeDemo,
	},
	"Services": {},
}

// makeDemo has the answers to oidc-gen -w device demo.
const makeDemo = "? Issuer.*: $\n> $ISSUER\n? Scopes.*: $\n> openid offline_access storage.read:/\n" +
	"? Enter encryption password.*: $\n* pw\n? Confirm encryption .*: $\n* pw\n? correctly\n"

// neighbours are stand-ins for other programs. Those that need a token check that the README gives them one.
const neighbours = `
-- stubs/curl --
#!/bin/sh
case $2 in "Authorization: Bearer eyJ"*) ;; *) echo "curl: no token in $2"; exit 1 ;; esac
-- stubs/davix-ls --
#!/bin/sh
exec curl "$@"
-- stubs/gfal-ls --
#!/bin/sh
exec curl -H "Authorization: Bearer $BEARER_TOKEN"
-- stubs/arcls --
#!/bin/sh
exec curl -H "Authorization: Bearer $(cat "$XDG_RUNTIME_DIR/bt_u$(id -u)")"
-- stubs/sbatch --
#!/bin/sh
exec curl -H "Authorization: Bearer $(cat "$BEARER_TOKEN_FILE")"
-- stubs/systemctl --
#!/bin/sh
test "$*" = "--user enable --now oidc-agent.socket"
-- stubs/ssh --
#!/bin/sh
while [ "$1" != login ]; do
	case $1 in -R) ln -s "${2#*:}" "${2%%:*}" ;; esac
	shift
done
shift
exec "${@:-true}"
-- job.sh --
#!/bin/sh
exec sbatch
`

var (
	typedLine = regexp.MustCompile(`(?m)^ +(?:login)?\$ (.*?)(?: +#.*)?$`)
	typedCell = regexp.MustCompile("(?m)^\\| [^|]* \\| (`.*`) \\|$")
	typedSpan = regexp.MustCompile("`(.*?)`")
	addition  = regexp.MustCompile(`(?m)^ {4}(eval .*)$`) // for ~/.profile
)

func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for i, chapter := range strings.Split(string(text), "\n## ") {
		title, body, _ := strings.Cut(chapter, "\n")
		if i == 0 {
			title = ""
		}
		commands := typed(body)
		story, known := chapters[title]
		if known != (len(commands) > 0) {
			t.Errorf("chapter %q has the commands %q, is in the table: %t", title, commands, known)
		}
		if !known || len(commands) == 0 {
			continue
		}
		found++
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			job := "set -e\n"
			for _, c := range commands {
				if before, ok := story.before[c]; ok {
					job += before + "\n"
				}
				job += "echo '$' " + "'" + strings.ReplaceAll(c, "'", `'\''`) + "'\n" + c + "\n"
			}
			job = strings.NewReplacer("/scratch/$USER", "$HOME", "/tmp/oidc-$USER", "$HOME/oidc-$USER").Replace(job)
			script := "idp --auto-approve\nchmod 700 stubs job.sh\nsh -c 'chmod 700 stubs/*'\nenv PATH=$HOME/stubs:$PATH USER=me\n" +
				"tty answers\nsh job\n" +
				neighbours + "-- job --\n" + job + "-- answers --\n" + story.answers
			if err := run(scriptDir(t), binaries(t), script, 2*patience); err != nil {
				t.Error(err)
			}
		})
	}
	if found != len(chapters) {
		t.Errorf("%d of %d chapters were found", found, len(chapters))
	}
}

// typed returns the commands in a text, in order.
func typed(text string) (commands []string) {
	type place struct {
		at      int
		command string
	}
	var all []place
	for _, pattern := range []*regexp.Regexp{typedLine, addition} {
		for _, m := range pattern.FindAllStringSubmatchIndex(text, -1) {
			all = append(all, place{m[2], text[m[2]:m[3]]})
		}
	}
	for _, m := range typedCell.FindAllStringSubmatchIndex(text, -1) {
		for _, span := range typedSpan.FindAllStringSubmatchIndex(text[m[2]:m[3]], -1) {
			if c := text[m[2]+span[2] : m[2]+span[3]]; strings.HasPrefix(c, "oidc-") && strings.Contains(c, " ") || strings.HasPrefix(c, "eval ") {
				all = append(all, place{m[2] + span[2], c})
			}
		}
	}
	slices.SortFunc(all, func(a, b place) int { return a.at - b.at })
	for _, p := range all {
		commands = append(commands, p.command)
	}
	return commands
}
