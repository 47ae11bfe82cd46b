package interop

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"oidc-agent/proto/e2e/user"
)

// A keystroke is what the user of a transcript types, after which text on the
// screen, and whether it is echoed.
type keystroke struct {
	before string // the last line that says something, up to the mark
	prompt bool   // the mark follows a prompt, on its line
	keys   string
	hidden bool
}

var keyNames = strings.NewReplacer("⏎", "\r", "^C", "\x03", "^D", "\x04")

var secretPrompt = regexp.MustCompile(`(?i)password|secret`)

// keystrokes finds the marks on a recorded screen.
func keystrokes(screen string) []keystroke {
	var all []keystroke
	for _, at := range mark.FindAllStringIndex(screen, -1) {
		shown := strings.Trim(screen[at[0]:at[1]], "«»")
		line := screen[strings.LastIndex(screen[:at[0]], "\n")+1 : at[0]]
		text := strings.TrimSuffix(shown, "⏎")
		k := keystroke{before: line, prompt: line != "", keys: keyNames.Replace(shown)}
		k.hidden = secretPrompt.MatchString(line) && (text == "" || !strings.HasPrefix(screen[at[1]:], text))
		if earlier := messages(screen[:at[0]]); !k.prompt && len(earlier) > 0 {
			k.before = earlier[len(earlier)-1]
		}
		all = append(all, k)
	}
	return all
}

// prompted matches a screen on which a program waits for the user.
var prompted = regexp.MustCompile(`\S[^\n]*[:?>] ?$`)

// runOnTerminal types what was recorded as soon as the program asks for it.
func (s *stage) runOnTerminal(ctx context.Context, c command, limit time.Duration) (outcome, error) {
	typed := func(ctx context.Context, session *user.Session) error {
		for _, k := range keystrokes(c.streams["terminal"]) {
			if err := s.typeKeys(ctx, session, k); err != nil {
				return err
			}
		}
		return nil
	}
	r, err := user.Program{
		Args: []string{"bash", "-c", shell}, Dir: s.dir, Env: s.environ(), Terminal: user.Everywhere, User: typed,
	}.Run(ctx)
	exit := fmt.Sprint(r.Code)
	if ctx.Err() != nil {
		exit, err = fmt.Sprintf("none: still running after %d s", int(limit.Seconds())), nil
	}
	return outcome{map[string]string{"terminal": r.Terminal, "exit": exit}}, err
}

// typeKeys waits for the prompt and types one answer.
func (s *stage) typeKeys(ctx context.Context, session *user.Session, k keystroke) error {
	wait := prompted
	if !k.prompt {
		p, err := pattern(k.before, s.values)
		if err != nil {
			return err
		}
		wait = regexp.MustCompile(p)
	}
	if err := session.Expect(ctx, wait); err != nil {
		return fmt.Errorf("before %q is typed: %w", k.keys, err)
	}
	if k.hidden {
		return session.TypeHidden(ctx, k.keys)
	}
	return session.Type(ctx, s.fill(k.keys))
}
