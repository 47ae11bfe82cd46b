package e2e

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Limits in lines.
const (
	longestFile     = 400
	longestFunction = 60 // without its tables
)

// TestSize counts the lines without tests; -v shows them by package.
func TestSize(t *testing.T) {
	t.Parallel()
	rooms, lines := map[string]int{}, 0
	var functions []int
	for _, file := range productFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n := bytes.Count(text, []byte("\n"))
		if n > longestFile {
			t.Errorf("%s has %d lines", file, n)
		}
		rooms[filepath.Dir(file)] += n
		lines += n
		for name, length := range functionLengths(t, file, text) {
			functions = append(functions, length)
			if length > longestFunction {
				t.Errorf("%s: %s has %d lines", file, name, length)
			}
		}
	}
	names := make([]string, 0, len(rooms))
	for name := range rooms {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Logf("%6d %s", rooms[name], strings.TrimPrefix(name, root+"/"))
	}
	slices.Sort(functions)
	t.Logf("%6d lines in all; %d functions, half of them have at most %d lines, the longest %d",
		lines, len(functions), functions[len(functions)/2], functions[len(functions)-1])
}

// productFiles returns the Go files of all programs, without tests.
func productFiles(t *testing.T) (files []string) {
	t.Helper()
	for _, room := range []string{"agent", "gen", "add", "token", "crypt", "fakeidp", "proto"} {
		err := filepath.WalkDir(filepath.Join(root, room), func(path string, entry os.DirEntry, err error) error {
			switch name := entry.Name(); {
			case err != nil:
				return err
			case entry.IsDir() && (name == "e2e" || name == "interop" || name == "testdata"):
				return filepath.SkipDir
			case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(files) < 50 {
		t.Fatalf("too few files were found: %q", files)
	}
	return files
}

// functionLengths returns the lines of each function of a file, without composite literals, which are tables.
func functionLengths(t *testing.T, file string, text []byte) map[string]int {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	span := func(n ast.Node) int { return set.Position(n.End()).Line - set.Position(n.Pos()).Line }
	lengths := map[string]int{}
	for _, declaration := range parsed.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		length := span(f) + 1
		ast.Inspect(f.Body, func(n ast.Node) bool {
			table, ok := n.(*ast.CompositeLit)
			if ok {
				length -= span(table)
			}
			return !ok
		})
		lengths[f.Name.Name+" at line "+set.Position(f.Pos()).String()] = length
	}
	return lengths
}
