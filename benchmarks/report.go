package main

import (
	"fmt"
	"strings"
	"time"
)

// A report is everything that was measured, as people read it.
type report struct {
	form     form
	facts    [][2]string
	verdicts []verdict
	sections []section
	plots    []panel
	perFile  time.Duration // of ours, blank, with as many files as the case of that name has
}

// A verdict holds a measured value against what the issue wanted.
type verdict struct {
	what, target, measured string
	met                    bool
	apart                  string // why it is not to be judged here, such as sizes of the short form
}

// A section is a table.
type section struct {
	title  string
	about  string
	header []string
	rows   [][]string
}

func (r *report) judge(what, target, measured string, met bool) {
	v := verdict{what: what, target: target, measured: measured, met: met}
	if r.form.name != fullForm().name {
		v.apart = "sizes of the short form"
	}
	r.verdicts = append(r.verdicts, v)
}

func (v verdict) word() string {
	word := "missed"
	if v.met {
		word = "reached"
	}
	if v.apart != "" {
		word += " (" + v.apart + ")"
	}
	return word
}

func (r *report) section(title, about string, header ...string) *section {
	r.sections = append(r.sections, section{title: title, about: about, header: header})
	return &r.sections[len(r.sections)-1]
}

func (s *section) row(cells ...string) { s.rows = append(s.rows, cells) }

// markdown writes the report.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What was measured\n\nThe %s form. Medians of turns (A B C A B C …), each on a fresh database "+
		"where something is applied; ratios within this run.\n\n", r.form.name)
	for _, fact := range r.facts {
		fmt.Fprintf(&b, "- %s: %s\n", fact[0], fact[1])
	}
	b.WriteString("\n## Targets\n\n")
	verdicts := section{header: []string{"Case", "Target", "Measured", ""}}
	for _, v := range r.verdicts {
		verdicts.row(v.what, v.target, v.measured, v.word())
	}
	verdicts.write(&b)
	for _, s := range r.sections {
		fmt.Fprintf(&b, "\n## %s\n\n", s.title)
		if s.about != "" {
			fmt.Fprintf(&b, "%s\n\n", s.about)
		}
		s.write(&b)
	}
	return b.String()
}

// write lays the table out so that it can be read as it is, too.
func (s section) write(b *strings.Builder) {
	widths := make([]int, len(s.header))
	for _, cells := range append([][]string{s.header}, s.rows...) {
		for i, cell := range cells {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	line := func(cells []string) {
		for i, cell := range cells {
			fmt.Fprintf(b, "| %-*s ", widths[i], cell)
		}
		b.WriteString("|\n")
	}
	line(s.header)
	rule := make([]string, len(widths))
	for i, width := range widths {
		rule[i] = strings.Repeat("-", width)
	}
	line(rule)
	for _, cells := range s.rows {
		line(cells)
	}
}

// short writes a duration with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.0f µs", d.Seconds()*1e6)
}

func ratio(a, b time.Duration) string { return fmt.Sprintf("%.2f", quotient(a, b)) }

func quotient(a, b time.Duration) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}
