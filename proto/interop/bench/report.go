package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// values are the results of our program, of C's and of the floor. Empty: there is no such program, or it cannot do this.
type values [3][]float64

func (v *values) add(i int, x float64) { v[i] = append(v[i], x) }

// A figure is a line of the table.
type figure struct {
	chapter, what, unit, floor string
	values                     values
	goals                      []goal
}

// A goal is a limit for our median.
type goal struct {
	limit   float64
	of      int // the limit is a multiple of: 1 C's median, 2 the floor's; 0: the limit is absolute
	atLeast bool
}

// The columns of values. A limit is a multiple of the median of peer or floor, or absolute.
const (
	us, alone = 0, 0
	peer      = 1
	floor     = 2
)

func atMost(limit float64, of int) goal  { return goal{limit, of, false} }
func atLeast(limit float64, of int) goal { return goal{limit, of, true} }

// report adds a line. A figure without a unit is a count, and --quick compares it with its goal.
func (b *bench) report(what, unit, floor string, v values, goals ...goal) {
	f := figure{b.chapter, what, unit, floor, v, goals}
	b.figures = append(b.figures, f)
	fmt.Fprintln(os.Stderr, "   ", strings.Join(f.cells()[1:], " | "))
}

func median(s []float64) float64 { return quantile(s, 0.5) }

// quantile sorts s and returns its quantile q.
func quantile(s []float64, q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	slices.Sort(s)
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

// number formats a value with three digits.
func number(v float64) string {
	switch {
	case v == 0 || v >= 100 || v == float64(int(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// spread returns the median, with the quartiles if there are enough values.
func (f figure) spread(i int) string {
	s := f.values[i]
	switch {
	case len(s) == 0:
		return "–"
	case len(s) < 4:
		return number(median(s)) + f.unit
	}
	return fmt.Sprintf("%s (%s–%s)%s", number(median(s)), number(quantile(s, 0.25)), number(quantile(s, 0.75)), f.unit)
}

func (f figure) ratio(of int) string {
	if base := median(f.values[of]); base != 0 && len(f.values[0]) > 0 {
		return fmt.Sprintf("%.2f", median(f.values[0])/base)
	}
	return "–"
}

// judge returns the goals and whether they are reached.
func (f figure) judge() (all, missed []string) {
	for _, g := range f.goals {
		text := map[bool]string{false: "≤ ", true: "≥ "}[g.atLeast] + number(g.limit) + [...]string{f.unit, " × C", " × " + f.floor}[g.of]
		limit := g.limit
		if g.of != alone {
			limit *= median(f.values[g.of])
		}
		all = append(all, text)
		if ours := median(f.values[us]); g.atLeast && ours < limit || !g.atLeast && ours > limit {
			missed = append(missed, text)
		}
	}
	return all, missed
}

func (f figure) cells() []string {
	goals, missed := f.judge()
	verdict, floorText := "yes", f.spread(floor)
	switch {
	case len(f.values[0]) == 0:
		verdict = "not built"
	case len(goals) == 0:
		verdict = ""
	case len(missed) > 0:
		verdict = "**no**"
	}
	if f.floor != "" {
		floorText = f.floor + ": " + floorText
	}
	return []string{f.chapter, f.what, f.spread(0), f.spread(peer), floorText, f.ratio(peer), f.ratio(floor), strings.Join(goals, ", "), verdict}
}

// print writes the table in Markdown, padded so that it is also readable as plain text.
func (b *bench) print() {
	fmt.Println(machine() + "\n")
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(w, "| "+strings.Join(cells, "\t| ")+"\t|") }
	row("name", "what", "ours", "C 4.2.6", "floor", "÷ C", "÷ floor", "to reach", "reached")
	row(slices.Repeat([]string{"---"}, 9)...)
	for _, f := range b.figures {
		row(f.cells()...)
	}
	w.Flush()
}

// overBudget is the error of --quick, for counts only: times are only printed.
func (b *bench) overBudget() error {
	var over []error
	for _, f := range b.figures {
		if _, missed := f.judge(); b.quick && f.unit == "" && len(missed) > 0 {
			over = append(over, fmt.Errorf("%s: %s: %s is over the budget %s", f.chapter, f.what, number(median(f.values[0])), strings.Join(missed, ", ")))
		}
	}
	return errors.Join(over...)
}

// machine describes what was measured, and on which machine.
func machine() string {
	commit, _ := exec.Command("git", "describe", "--always", "--dirty").Output()
	find := func(file, after string) string {
		text, _ := os.ReadFile(file)
		_, found, _ := strings.Cut(string(text), after)
		found, _, _ = strings.Cut(found, "\n")
		return strings.Trim(found, ` "`)
	}
	return fmt.Sprintf("Commit %s, %s, %d × %s, %s. Medians, in brackets the quartiles.", strings.TrimSpace(string(commit)),
		runtime.Version(), runtime.NumCPU(), find("/proc/cpuinfo", "model name\t:"), find("/etc/os-release", "PRETTY_NAME="))
}
