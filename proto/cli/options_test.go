package cli

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// result is what the options of the test program store.
type result struct {
	all, force         bool
	issuer, scope, aud string
	time               int64
	mytoken            []string
	prompt             string
}

// tokenProgram has options of oidc-token in the order of the C program's table, in which error messages list them.
func tokenProgram(r *result) *Program {
	return &Program{
		Name: "oidc-token", Version: "1.0", ArgsDoc: "ACCOUNT_SHORTNAME | ISSUER_URL", Doc: "Prints tokens.",
		Groups: []string{"General:", "Advanced:"}, MinArgs: 1, MaxArgs: 1,
		Options: []Option{
			{Long: "time", Short: 't', Arg: "SECONDS", Help: "Seconds", Set: Seconds(&r.time)},
			{Long: "issuer", Short: 'i', Arg: "OIDC_ISS", Optional: true, Default: "default", Help: "Issuer", Set: Text(&r.issuer)},
			{Long: "all", Short: 'a', Help: "All", Set: Flag(&r.all)},
			{Long: "force-new", Short: 'f', Help: "New", Set: Flag(&r.force)},
			{Long: "auth-header", Aliases: []string{"auth"}, Help: "Header", Set: Flag(&r.all)},
			{Long: "scope", Short: 's', Arg: "SCOPE", Group: 1, Help: "Scope", Set: Join(&r.scope)},
			{Long: "aud", Arg: "AUDIENCE", Group: 1, Help: "Audience", Set: Text(&r.aud)},
			{Long: "mytoken", Short: 'm', Aliases: []string{"mytoken-long", "MT"}, Arg: "PROFILE", Optional: true, Group: 1,
				Set: Append(&r.mytoken)},
			{Long: "never", Hidden: true, Set: func(string) error { return errors.New("not here") }},
			{Long: "prompt-mode", Hidden: true, Set: func(string) error { return &ExitError{Code: 3, Err: errors.New("not yet")} }},
			{Long: "prompt", Arg: "cli|gui", Hidden: true, Set: OneOf(&r.prompt, "cli", "gui")},
		},
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		want result
		rest string
	}{
		{"demo", result{}, "demo"},
		{"-", result{}, "-"},
		{"demo -a", result{all: true}, "demo"},
		{"-af demo", result{all: true, force: true}, "demo"},
		{"-t60 demo", result{time: 60}, "demo"},
		{"-t 60 demo", result{time: 60}, "demo"},
		{"-aft60 demo", result{all: true, force: true, time: 60}, "demo"},
		{"--time=60 demo", result{time: 60}, "demo"},
		{"--time 60 demo", result{time: 60}, "demo"},
		{"--ti 60 demo", result{time: 60}, "demo"},
		{"-t 60 -t 7 demo", result{time: 7}, "demo"},
		{"-i demo", result{issuer: "default"}, "demo"},
		{"-iNAME demo", result{issuer: "NAME"}, "demo"},
		{"--issuer demo", result{issuer: "default"}, "demo"},
		{"--issuer=NAME demo", result{issuer: "NAME"}, "demo"},
		{"--issuer= demo", result{}, "demo"},
		{"--forc demo", result{force: true}, "demo"},
		{"--auth demo", result{all: true}, "demo"},
		{"--auth-h demo", result{all: true}, "demo"},
		{"--my demo", result{mytoken: []string{""}}, "demo"}, // two names, one option
		{"--mytoken-l=p -m --MT=q demo", result{mytoken: []string{"p", "", "q"}}, "demo"},
		{"-s a demo --scope=b", result{scope: "a b"}, "demo"},
		{"--aud a --aud b demo", result{aud: "b"}, "demo"},
		{"--aud --all demo", result{aud: "--all"}, "demo"},
		{"-- --all", result{}, "--all"},
		{"-a -- demo", result{all: true}, "demo"},
		{"--prompt=gui demo", result{prompt: "gui"}, "demo"},
	} {
		var got result
		rest, err := tokenProgram(&got).Parse(strings.Fields(c.args))
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		if strings.Join(rest, " ") != c.rest || !equal(got, c.want) {
			t.Errorf("%s: got %+v and operands %q, want %+v and %q", c.args, got, rest, c.want, c.rest)
		}
	}
}

func equal(a, b result) bool {
	same := slices.Equal(a.mytoken, b.mytoken)
	a.mytoken, b.mytoken = nil, nil
	return same && a.all == b.all && a.force == b.force && a.issuer == b.issuer && a.scope == b.scope &&
		a.aud == b.aud && a.time == b.time && a.prompt == b.prompt
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const usage = "Usage: oidc-token [OPTION...] ACCOUNT_SHORTNAME | ISSUER_URL"
	for _, c := range []struct{ args, want string }{
		{"", usage},
		{"demo other", usage},
		{"-o", "oidc-token: invalid option -- 'o'"},
		{"-Z demo", "oidc-token: invalid option -- 'Z'"},
		{"-aZ demo", "oidc-token: invalid option -- 'Z'"},
		{"-é demo", "oidc-token: invalid option -- 'é'"},
		{"--nosuch demo", "oidc-token: unrecognized option '--nosuch'"},
		{"--nosuch=hunter2 demo", "oidc-token: unrecognized option '--nosuch'"},
		{"demo -t", "oidc-token: option requires an argument -- 't'"},
		{"demo --time", "oidc-token: option '--time' requires an argument"},
		{"demo --tim", "oidc-token: option '--time' requires an argument"},
		{"--all=1 demo", "oidc-token: option '--all' doesn't allow an argument"},
		{"--a demo", "oidc-token: option '--a' is ambiguous; possibilities: '--all' '--auth-header' '--auth' '--aud'"},
		{"--au=1 demo", "oidc-token: option '--au' is ambiguous; possibilities: '--auth-header' '--aud'"},
		{"-t demo", `oidc-token: option '-t' cannot take "demo": a number of seconds is expected`},
		{"-t0x1 demo", `oidc-token: option '-t' cannot take "0x1": a number of seconds is expected`},
		{"-t-1 demo", `oidc-token: option '-t' cannot take "-1": a number of seconds is expected`},
		{"-t+1 demo", `oidc-token: option '-t' cannot take "+1": a number of seconds is expected`},
		{"--time= demo", `oidc-token: option '--time' cannot take "": a number of seconds is expected`},
		{"--ti=9223372036854775808 demo", `oidc-token: option '--time' cannot take "9223372036854775808": a number of seconds is expected`},
		{"--never demo", "oidc-token: option '--never': not here"},
		{"--prompt=none demo", `oidc-token: option '--prompt' cannot take "none": one of cli, gui is expected`},
	} {
		_, err := tokenProgram(new(result)).Parse(strings.Fields(c.args))
		if exit, ok := err.(*ExitError); !ok || exit.Code != CodeUsage || err.Error() != c.want {
			t.Errorf("%q: got %v, want %s", c.args, err, c.want)
		}
	}
}

// An option may end the program with an *ExitError of its own.
func TestParseExits(t *testing.T) {
	t.Parallel()
	_, err := tokenProgram(new(result)).Parse([]string{"--prompt-m", "demo"})
	if exit, ok := err.(*ExitError); !ok || exit.Code != 3 {
		t.Errorf("got %v", err)
	}
}

// The first option that ends the parsing counts, whatever follows it.
func TestParseOutput(t *testing.T) {
	t.Parallel()
	p := tokenProgram(new(result))
	for args, want := range map[string]string{
		"--help --nosuch": p.help(), "-?": p.help(), "-h": p.help(), "--h": p.help(),
		"--usage": p.usage(), "-V": "oidc-token 1.0\n", "demo --version": "oidc-token 1.0\n",
	} {
		_, err := p.Parse(strings.Fields(args))
		if exit, ok := err.(*ExitError); !ok || exit.Code != 0 || err.Error() != want {
			t.Errorf("%q: got %v, want the text %q", args, err, want)
		}
	}
}

// POSIX guideline 9: options come before operands.
func TestParsePosixlyCorrect(t *testing.T) {
	t.Setenv("POSIXLY_CORRECT", "")
	var got result
	p := tokenProgram(&got)
	p.MaxArgs = -1
	rest, err := p.Parse([]string{"-a", "demo", "-f"})
	if err != nil || !got.all || got.force || !slices.Equal(rest, []string{"demo", "-f"}) {
		t.Errorf("got %+v, operands %q, error %v", got, rest, err)
	}
	os.Unsetenv("POSIXLY_CORRECT")
	rest, err = p.Parse([]string{"-a", "demo", "-f"})
	if err != nil || !got.force || len(rest) != 1 {
		t.Errorf("without the variable: got %+v, operands %q, error %v", got, rest, err)
	}
}

// FuzzParse checks that no command line makes the parser fail in an unexpected way, and that the operands after
// "--" are returned as they are.
func FuzzParse(f *testing.F) {
	for _, args := range []string{"demo", "-af demo", "--time=60 demo", "--a demo", "-t", "-- --all", "-é", "--=", "-?", "--usage"} {
		f.Add(args)
	}
	f.Fuzz(func(t *testing.T, line string) {
		p := tokenProgram(new(result))
		p.MinArgs, p.MaxArgs = 0, -1
		args := strings.Split(line, " ")
		operands, err := p.Parse(args)
		if exit, ok := err.(*ExitError); err != nil && (!ok || exit.Code != 0 && exit.Code != CodeUsage) {
			t.Errorf("%q: %v", args, err)
		}
		if len(operands) > len(args) {
			t.Errorf("%q: %d operands", args, len(operands))
		}
		operands, err = p.Parse(append([]string{"--"}, args...))
		if err != nil || !slices.Equal(operands, args) {
			t.Errorf("after --: got %q and %v, want %q", operands, err, args)
		}
	})
}
