package cli

import (
	"cmp"
	"slices"
	"strings"
)

// The columns of the help texts, counted from 0. They are those of GNU argp, which lays out the help of the C
// tools: people and scripts find everything in its usual place.
const (
	nameColumn  = 6  // long names; short ones are at 2
	helpColumn  = 29 // what an option does
	usageColumn = 12 // second and further lines of a usage text
	lineWidth   = 79 // most characters in a line
)

// help returns the text of --help.
func (p *Program) help() string {
	groups := append(slices.Clip(p.Groups), "Help:")
	text := p.usageOf("[OPTION...]") + fill("", words(p.Name+" -- "+p.Doc), 0)
	group, note := -1, ""
	for _, o := range p.visible() {
		if o.Group != group {
			group = o.Group
			text += "\n " + groups[group] + "\n"
		}
		text += o.entry()
		if o.Short != 0 && o.Arg != "" {
			note = "Mandatory or optional arguments to long options are also mandatory or optional for any " +
				"corresponding short options."
		}
	}
	for _, paragraph := range []string{note, p.Footer} {
		if paragraph != "" {
			text += "\n" + fill("", words(paragraph), 0)
		}
	}
	return text
}

// usage returns the text of --usage: all short forms, then all long forms.
func (p *Program) usage() string {
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
		for _, name := range o.longForms() {
			long = append(long, "["+name+"]")
		}
	}
	return p.usageOf(slices.Concat([]string{letters + "]"}, short, long)...)
}

// usageOf returns a usage text of the program's name, the items and the operands. No item is broken.
func (p *Program) usageOf(items ...string) string {
	if p.ArgsDoc != "" {
		items = append(items, p.ArgsDoc)
	}
	return fill("Usage: ", append([]string{p.Name}, items...), usageColumn)
}

// visible returns the options that are not hidden, in argp's order.
func (p *Program) visible() []Option {
	shown := slices.DeleteFunc(p.table(), func(o Option) bool { return o.Hidden })
	slices.SortFunc(shown, func(a, b Option) int {
		return cmp.Or(a.Group-b.Group, strings.Compare(a.sortKey(), b.sortKey()))
	})
	return shown
}

// sortKey orders options by the first letter of their first name, whatever its case: those without a short name,
// then those with a lower-case one, then those with an upper-case one.
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

// longForms returns the long names with their argument.
func (o *Option) longForms() (forms []string) {
	for _, name := range o.longNames() {
		forms = append(forms, "--"+name+o.argument("="))
	}
	return forms
}

// argument returns the argument as it follows a name, after the separator of the long or the short form.
func (o *Option) argument(separator string) string {
	switch {
	case o.Arg == "":
		return ""
	case o.Optional:
		return "[" + strings.TrimSpace(separator) + o.Arg + "]"
	}
	return separator + o.Arg
}

// entry returns the option's lines in the help text: its names, then what it does, beside them or below.
func (o *Option) entry() string {
	short := ""
	if o.Short != 0 {
		short = "  -" + string(rune(o.Short)) + ","
	}
	names := fill(pad(short, nameColumn), words(strings.Join(o.longForms(), ", ")), nameColumn)
	above, beside := "", strings.TrimSuffix(names, "\n")
	if strings.Contains(beside, "\n") || len(beside) >= helpColumn {
		above, beside = names, ""
	}
	for line := range strings.SplitSeq(o.Help, "\n") {
		above += fill(pad(beside, helpColumn), words(line), helpColumn)
		beside = ""
	}
	return above
}

func words(text string) []string { return strings.Split(text, " ") }

// pad adds blanks to a line up to a column.
func pad(line string, column int) string { return line + strings.Repeat(" ", column-len(line)) }

// fill returns the start of a line and the items, separated by blanks and broken into lines. The second and
// further lines begin at a column.
func fill(start string, items []string, column int) string {
	done, line := "", start+items[0]
	for _, item := range items[1:] {
		if len(line+" "+item) > lineWidth {
			done += strings.TrimRight(line, " ") + "\n"
			line = pad("", column) + item
		} else {
			line += " " + item
		}
	}
	return done + line + "\n"
}
