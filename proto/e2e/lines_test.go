package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A printedLine is a text of several words in the code: an error, a hint, a question, a help text.
type printedLine struct{ room, text string }

// faults must not be in any line, except in those that the C tools print word for word.
var faults = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`(?i)\b(can't|don't|isn't|won't|couldn't|doesn't)\b`), "write it out: cannot, do not"},
	{regexp.MustCompile(`(?i)\bplease\b|\bsorry\b|\boops\b`), "say what to do, nothing else"},
	{regexp.MustCompile(`(?i)\b(failed to|unable to|could not be able)\b`), "say what happened: \"cannot\", or the act itself"},
	{regexp.MustCompile(` '%[sqv]'`), "quote values with %q"},
}

// wordForWord are the beginnings of lines of the C tools, of IAM, and of GNU getopt.
var wordForWord = []string{
	"Account '%s' already loaded", "Account configuration '%s' already exists", "%s requests an %s for '%s'. Do you want",
	"Enter decryption password for account config '%s'", "Enter encryption password for account configuration '%s'",
	"An application requests a token for '%s'", "Unknown flow '%s'", "Unfortunately no contact information",
	"Required argument %s not given.", "Please specify the oidc-agent shortname", "success\nThe generated account config",
	"The generated account was successfully removed", "Client tried to revoke a token it doesn't own",
	"One or more requested scope is not allowed", "Scope '%s' not allowed for client", " doesn't allow an argument",
}

// TestLines collects all lines that the programs can print into one table; -v shows it.
func TestLines(t *testing.T) {
	t.Parallel()
	lines := printedLines(t)
	if len(lines) < 500 {
		t.Fatalf("only %d lines were found", len(lines))
	}
	for _, l := range lines {
		t.Logf("%-16s %q", l.room, l.text)
		begins := func(beginning string) bool { return strings.HasPrefix(l.text, beginning) }
		for _, f := range faults {
			if f.pattern.MatchString(l.text) && !slices.ContainsFunc(wordForWord, begins) {
				t.Errorf("%s: %q: %s", l.room, l.text, f.why)
			}
		}
	}
}

func printedLines(t *testing.T) (lines []printedLine) {
	t.Helper()
	for _, file := range productFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		room := strings.TrimPrefix(filepath.Dir(file), root+"/")
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.BinaryExpr:
				if text, ok := joined(n); ok {
					lines = append(lines, printedLine{room, text})
					return false
				}
			case *ast.BasicLit:
				if text, ok := joined(n); ok && strings.Contains(strings.TrimSpace(text), " ") {
					lines = append(lines, printedLine{room, text})
				}
			}
			return true
		})
	}
	slices.SortFunc(lines, func(a, b printedLine) int { return strings.Compare(a.room+a.text, b.room+b.text) })
	return slices.Compact(lines)
}

// joined returns the value of a string literal, or of a sum of them.
func joined(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		x, okX := joined(e.X)
		y, okY := joined(e.Y)
		return x + y, e.Op == token.ADD && okX && okY
	}
	return "", false
}
