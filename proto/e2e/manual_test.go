package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// manuals lists the manual pages and the programs that each describes, in its order.
var manuals = map[string][]string{
	"agent/oidc-agent.1":         {"oidc-agent"},
	"agent/oidc-agent-service.1": {"oidc-agent-service"},
	"agent/oidc-keychain.1":      {"oidc-keychain"},
	"gen/oidc-gen.1":             {"oidc-gen"},
	"add/oidc-add.1":             {"oidc-add"},
	"token/oidc-token.1":         {"oidc-token", "oidc-tokensh"},
	"fakeidp/fakeidp.1":          {"fakeidp"},
}

// An entry is an option in a help text or in a manual page: its forms, as "-t, --time=SECONDS", and its words.
type entry struct{ forms, words string }

// TestManual: every manual page has the options of --help, in the same order and in all forms, and the description of
// each begins like that of the help. The help fits 80 columns.
func TestManual(t *testing.T) {
	t.Parallel()
	for file, programs := range manuals {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		var want []entry
		for _, program := range programs {
			want = append(want, helpEntries(t, program)...)
			if !strings.Contains(string(text), "\n.Nm "+program) {
				t.Errorf("%s does not name %s", file, program)
			}
		}
		got := manualEntries(string(text))
		for i := range max(len(want), len(got)) {
			switch {
			case i >= len(got):
				t.Errorf("%s: %q is missing", file, want[i].forms)
			case i >= len(want):
				t.Errorf("%s: %q is in no help text", file, got[i].forms)
			case got[i].forms != want[i].forms:
				t.Fatalf("%s: %q where the help has %q: %s", file, got[i].forms, want[i].forms, want[i].words)
			case !strings.HasPrefix(got[i].words, want[i].words):
				t.Errorf("%s: of %q it says\n%swhere the help says\n%s", file, want[i].forms, got[i].words, want[i].words)
			}
		}
	}
}

var (
	helpForms = regexp.MustCompile(`^ {2,6}((?:-\S+, +)*-\S+)(.*)$`)
	helpMore  = regexp.MustCompile(`^ {7,}(\S.*)$`)
	manForms  = strings.NewReplacer(" Ns Oo ", "[", " Ns = Ns Ar ", "=", "= Ns Ar ", "=", " Oc", "]", " ,", ",", "Fl ", "-")
	manEntry  = regexp.MustCompile(`(?m)^\.It (Fl .*)\n((?:\.[^IE].*\n|\.Ev.*\n|[^.].*\n)*)`)
	manMacro  = regexp.MustCompile(`\b[A-Z][a-z]\b`)
	manLine   = regexp.MustCompile(`(?m)^\..*`)
	word      = regexp.MustCompile(`\w+`)
)

func plainWords(text string) string { return strings.Join(word.FindAllString(text, -1), " ") + " " }

func helpEntries(t *testing.T, program string) (all []entry) {
	t.Helper()
	help, err := exec.Command(filepath.Join(binaries(t), program), "--help").Output()
	if err != nil {
		t.Fatal(program, err)
	}
	inside := false
	for line := range strings.Lines(string(help)) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) > 80 {
			t.Errorf("%s --help: wider than 80 columns: %s", program, line)
		}
		option, more := helpForms.FindStringSubmatch(line), helpMore.FindStringSubmatch(line)
		switch {
		case option != nil && inside && strings.HasSuffix(all[len(all)-1].forms, ","):
			all[len(all)-1] = entry{all[len(all)-1].forms + " " + option[1], plainWords(option[2])}
		case option != nil:
			all = append(all, entry{option[1], plainWords(option[2])})
		case more != nil && inside:
			all[len(all)-1].words = strings.TrimPrefix(all[len(all)-1].words+plainWords(more[1]), " ")
		}
		inside = option != nil || more != nil && inside
	}
	if len(all) < 4 {
		t.Errorf("%s --help lists %d options", program, len(all))
	}
	return all
}

func manualEntries(text string) (all []entry) {
	for _, m := range manEntry.FindAllStringSubmatch(text, -1) {
		plain := manLine.ReplaceAllStringFunc(m[2], func(line string) string { return manMacro.ReplaceAllString(line, "") })
		all = append(all, entry{manForms.Replace(m[1]), plainWords(plain)})
	}
	return all
}

// Environment variables whose names are not where they are read.
var (
	// elsewhere are calls whose argument is not a constant, with the possible values.
	elsewhere = map[string][]string{
		"gen/options.go":              {"OIDC_CLIENT_SECRET", "OIDC_ACCESS_TOKEN", "OIDC_OP_PASSWORD", "OIDC_REFRESH_TOKEN"},
		"proto/cli/prompt/source.go":  {"OIDC_ENCRYPTION_PW"},
		"proto/account/parameters.go": nil, // from a file of the user
		"agent/daemon.go":             nil, // read elsewhere as well
	}
	// libraries are variables that Go's libraries read.
	libraries = []string{"HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"}
	// handover are variables that a program sets when it runs itself.
	handover = []string{"_OIDC_AGENT_DAEMON"}
)

// TestManualEnvironment: every variable that the programs read is under ENVIRONMENT in a manual page.
func TestManualEnvironment(t *testing.T) {
	t.Parallel()
	var described []string
	for file := range manuals {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		_, section, _ := strings.Cut(string(text), "\n.Sh ENVIRONMENT\n")
		section, _, _ = strings.Cut(section, "\n.Sh ")
		for _, m := range regexp.MustCompile(`(?m)^\.It Ev (.*)`).FindAllStringSubmatch(section, -1) {
			described = append(described, word.FindAllString(m[1], -1)...)
		}
	}
	read := variablesRead(t)
	if len(read) < 20 {
		t.Errorf("only these variables were found: %q", read)
	}
	for name, where := range read {
		if !slices.Contains(described, name) && !slices.Contains(handover, name) {
			t.Errorf("%s reads %s, which stands in no manual page", where, name)
		}
	}
}

// variablesRead returns the arguments of all calls of Getenv and LookupEnv, each with a file.
func variablesRead(t *testing.T) map[string]string {
	t.Helper()
	files, read := sources(t), map[string]string{}
	constants := constantTexts(files)
	for _, name := range libraries {
		read[name] = "a library"
	}
	for path, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 || !slices.Contains([]string{"getenv", "lookupenv"}, strings.ToLower(lastName(call.Fun))) {
				return true
			}
			names, known := elsewhere[path]
			if value := literal(call.Args[0]) + constants[lastName(call.Args[0])]; value != "" {
				names, known = []string{value}, true
			}
			if !known {
				t.Errorf("%s reads a variable that is no constant", path)
			}
			for _, name := range names {
				read[name] = path
			}
			return true
		})
	}
	return read
}

// sources returns the files of the programs by their paths in the repository.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == ".git" || path == "proto/interop" || path == "proto/e2e"): // a worktree's .git is a file
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		files[path], err = parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.SkipObjectResolution)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// constantTexts returns the values of all string constants.
func constantTexts(files map[string]*ast.File) map[string]string {
	texts := map[string]string{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.ValueSpec); ok && len(s.Names) == len(s.Values) {
				for i := range s.Names {
					texts[s.Names[i].Name] = literal(s.Values[i])
				}
			}
			return true
		})
	}
	return texts
}

// literal returns the value of a string literal, or "" for other expressions.
func literal(e ast.Expr) (text string) {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		text, _ = strconv.Unquote(l.Value) // never fails: the parser has checked it
	}
	return text
}

// lastName returns x for x and for a.x.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// otherMeaning are options that differ between programs: those with two meanings in the C tools, and those whose words
// say what the program does.
var otherMeaning = map[string]bool{
	"--accounts": true, "--all": true, "--aud": true, "--confirm": true, "--always-allow-idtoken": true, "--debug": true,
	"--issuer": true, "--json": true, "--kill": true, "--lifetime": true, "--no-autoload": true, "--outfile": true,
	"--print": true, "--scope": true, "--time": true, "--verbose": true,
}

// TestSameWords: an option of several programs has the same description in all of them.
func TestSameWords(t *testing.T) {
	t.Parallel()
	said := map[string]map[string][]string{} // by option, then by words: the programs
	for _, programs := range manuals {
		for _, program := range programs {
			for _, e := range helpEntries(t, program) {
				forms := strings.Split(e.forms, ", ")
				long, _, _ := strings.Cut(strings.NewReplacer("[", "=").Replace(forms[len(forms)-1]), "=")
				if said[long] == nil {
					said[long] = map[string][]string{}
				}
				said[long][e.words] = append(said[long][e.words], program)
			}
		}
	}
	for long, words := range said {
		if (len(words) > 1) != otherMeaning[long] {
			t.Errorf("%s: %q", long, words)
		}
	}
}
