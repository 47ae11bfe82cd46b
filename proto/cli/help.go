package cli

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// Columns of the help texts. They are those of GNU argp, which the C tools print with: whoever reads or parses
// a help text finds everything in its place. The first column is 0.
const (
	shortColumn = 2  // short names
	longColumn  = 6  // long names
	docColumn   = 29 // texts
	usageIndent = 12 // second and further lines of a usage text
	lineWidth   = 79 // characters in a line that goes on
	endWidth    = 78 // characters in a usage line or the last line of a paragraph: argp breaks one of 79
)

// Help returns the text of --help.
func (p *Program) Help() string {
	groups := append(slices.Clip(p.Groups), "Help:")
	b := builder(p.usageOf("[OPTION...]"))
	b.fill(p.Name+" -- "+p.Doc, 0)
	b.add("\n")
	group, note := -1, ""
	for _, o := range p.visible() {
		if o.Group != group {
			group = o.Group
			b.add("\n " + groups[group] + "\n")
		}
		b.entry(o)
		if o.Short != 0 && o.Arg != "" {
			note = "Mandatory or optional arguments to long options are also mandatory or optional for any corresponding short options."
		}
	}
	for _, text := range []string{note, p.Footer} {
		if text != "" {
			b.add("\n")
			b.fill(text, 0)
			b.add("\n")
		}
	}
	return string(b)
}

// Usage returns the text of --usage: every option once in short and once in long form.
func (p *Program) Usage() string {
	letters := "[-"
	var short, long []string
	for _, o := range p.visible() {
		switch letter := string(rune(o.Short)); {
		case o.Short == 0:
		case o.Arg == "":
			letters += letter
		default:
			short = append(short, "[-"+letter+o.argument(" ")+"]")
		}
		for _, name := range o.longNames() {
			long = append(long, "[--"+name+o.argument("=")+"]")
		}
	}
	return p.usageOf(slices.Concat([]string{letters + "]"}, short, long)...)
}

// usageOf fills lines with the program's name, the items and the operands. No item is broken.
func (p *Program) usageOf(items ...string) string {
	if p.ArgsDoc != "" {
		items = append(items, p.ArgsDoc)
	}
	b := builder("Usage: " + p.Name)
	for _, item := range items {
		b.item(" ", item, usageIndent, endWidth)
	}
	return string(b) + "\n"
}

// visible returns the options of the help texts in argp's order.
func (p *Program) visible() []Option {
	shown := slices.DeleteFunc(p.table(), func(o Option) bool { return o.Hidden })
	slices.SortFunc(shown, func(a, b Option) int {
		return cmp.Or(a.Group-b.Group, strings.Compare(a.sortKey(), b.sortKey()))
	})
	return shown
}

// sortKey sorts by the first letter (of the short name, else of the long one), lower case before upper case, long
// names alone before those with a short one.
func (o *Option) sortKey() string {
	letter := string(rune(o.Short))
	lower := strings.ToLower(letter)
	switch {
	case o.Short == 0:
		return strings.ToLower(o.Long[:1] + " " + o.Long)
	case letter == lower:
		return lower + "!"
	}
	return lower + "~"
}

// argument returns the argument as it stands behind a name, with the separator of the long or the short form.
func (o *Option) argument(separator string) string {
	switch {
	case o.Arg == "":
		return ""
	case o.Optional:
		return "[" + strings.TrimSpace(separator) + o.Arg + "]"
	}
	return separator + o.Arg
}

// builder is a text in the making.
type builder []byte

func (b *builder) add(text string) { *b = append(*b, text...) }

// column returns the number of characters in the last line.
func (b *builder) column() int { return len(*b) - 1 - bytes.LastIndexByte(*b, '\n') }

// indent adds blanks up to a column.
func (b *builder) indent(column int) {
	if n := column - b.column(); n > 0 {
		b.add(strings.Repeat(" ", n))
	}
}

// item adds a text behind a separator, or in a new line at the column where it would go beyond the width.
func (b *builder) item(separator, text string, column, width int) {
	if text != "" && b.column() > column && b.column()+len(separator+text) > width {
		*b = append(bytes.TrimRight(append(*b, separator...), " "), '\n')
		b.indent(column)
		separator = ""
	}
	b.add(separator + text)
}

// entry adds one option: its names and its text beside or below them.
func (b *builder) entry(o Option) {
	separator := ""
	if o.Short != 0 {
		b.indent(shortColumn)
		b.add("-" + string(rune(o.Short)))
		separator = ", "
	}
	for _, name := range o.longNames() {
		if separator == "" {
			b.indent(longColumn)
		}
		b.item(separator, "--"+name+o.argument("="), longColumn, lineWidth)
		separator = ", "
	}
	if o.Help != "" {
		switch column := b.column(); {
		case column > docColumn+3:
			b.add("\n")
		case column >= docColumn:
			b.add("   ")
		}
		b.indent(docColumn)
		b.fill(o.Help, docColumn)
	}
	b.add("\n")
}

// fill adds words, broken into lines that begin at a column. A newline in the text is kept, and so are several
// blanks in a row.
func (b *builder) fill(text string, column int) {
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.add("\n")
			b.indent(column)
		}
		words, separator := strings.Split(line, " "), ""
		for j, word := range words {
			width := lineWidth
			if j == len(words)-1 {
				width = endWidth
			}
			b.item(separator, word, column, width)
			separator = " "
		}
	}
}
