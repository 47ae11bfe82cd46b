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
	var b builder
	b.add(p.usageLine())
	b.fill(p.Name+" -- "+p.Doc, 0)
	b.add("\n")
	group, note := -1, ""
	for _, o := range p.visible() {
		if o.Group != group {
			group = o.Group
			b.add("\n " + groups[group] + "\n")
		}
		b.entry(o)
		if o.Short != 0 && o.Long != "" && o.Arg != "" {
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
	options := p.visible()
	letters := ""
	var items []string
	for _, o := range options {
		switch {
		case o.Short == 0:
		case o.Arg == "":
			letters += string(rune(o.Short))
		default:
			items = append(items, "[-"+string(rune(o.Short))+o.argument(" ")+"]")
		}
	}
	if letters != "" {
		items = append([]string{"[-" + letters + "]"}, items...)
	}
	for _, o := range options {
		for _, name := range o.longNames() {
			items = append(items, "[--"+name+o.argument("=")+"]")
		}
	}
	return p.usageOf(items)
}

// usageLine is the usage text that stands for all options.
func (p *Program) usageLine() string { return p.usageOf([]string{"[OPTION...]"}) }

// usageOf fills lines with the program's name, the items and the operands. No item is broken.
func (p *Program) usageOf(items []string) string {
	if p.ArgsDoc != "" {
		items = append(items, p.ArgsDoc)
	}
	var b builder
	b.add("Usage: " + p.Name)
	for _, item := range items {
		if b.column()+1+len(item) > endWidth {
			b.add("\n")
			b.indent(usageIndent)
		} else {
			b.add(" ")
		}
		b.add(item)
	}
	b.add("\n")
	return string(b)
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
	if o.Short == 0 {
		return strings.ToLower(o.Long[:1]) + " " + strings.ToLower(o.Long)
	}
	letter := string(rune(o.Short))
	if lower := strings.ToLower(letter); lower != letter {
		return lower + "~"
	}
	return letter + "!"
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

// entry adds one option: its names and its text beside or below them.
func (b *builder) entry(o Option) {
	separator := ""
	if o.Short != 0 {
		b.indent(shortColumn)
		b.add("-" + string(rune(o.Short)))
		if o.Long == "" {
			b.add(o.argument(" "))
		}
		separator = ", "
	}
	for _, name := range o.longNames() {
		item := "--" + name + o.argument("=")
		if separator != "" && b.column()+len(separator)+len(item) > lineWidth {
			separator = ",\n"
		}
		b.add(separator)
		b.indent(longColumn)
		b.add(item)
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
	for text != "" {
		end := strings.IndexAny(text[1:], " \n") + 1
		if end == 0 {
			end = len(text)
		}
		word, rest := text[:end], text[end:]
		width := lineWidth
		if rest == "" || rest[0] == '\n' {
			width = endWidth
		}
		bare := strings.TrimLeft(word, " \n")
		if word[0] == '\n' || bare != "" && b.column() > column && b.column()+len(word) > width {
			*b = bytes.TrimRight(*b, " ")
			b.add("\n")
			b.indent(column)
			word = bare
		}
		b.add(word)
		text = rest
	}
}
