package main

import (
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A colour is a code of ECMA-48, select graphic rendition.
type colour string

const (
	bold   colour = "1"
	red    colour = "1;31"
	green  colour = "1;32"
	yellow colour = "1;33"
	cyan   colour = "1;36"
)

// painter colours text on a terminal that knows colours, unless NO_COLOR
// (no-color.org) asks not to.
func painter(out *os.File, environ []string) func(colour, string) string {
	return paintWhen(isTerminal(out) && wantsColour(environ))
}

func paintWhen(colourful bool) func(colour, string) string {
	return func(c colour, text string) string {
		if !colourful {
			return text
		}
		return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
	}
}

func wantsColour(environ []string) bool {
	return !slices.ContainsFunc(environ, func(v string) bool {
		name, value, _ := strings.Cut(v, "=")
		return name == "NO_COLOR" && value != "" || name == "TERM" && value == "dumb"
	})
}

// columns aligns the cells of rows; right lists the columns that are aligned to the
// right, as numbers are. Cells hold no escape codes: what a database says of itself
// must not steer a terminal.
func columns(rows [][]string, right ...int) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if slices.Contains(right, i) {
				line.WriteString(space + printable(cell) + "  ")
			} else {
				line.WriteString(printable(cell) + space + "  ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// printable replaces control characters.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, text)
}

// printableSQL is printable for SQL of several lines, whose white space has to stay as it is.
func printableSQL(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		parts := strings.Split(line, "\t")
		for j, part := range parts {
			parts[j] = printable(part)
		}
		lines[i] = strings.Join(parts, "\t")
	}
	return strings.Join(lines, "\n")
}

// fold breaks lines at 80 columns, apart from those that are indented: they are lists,
// or SQL to copy.
func fold(text string) string {
	const width = 80
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, " ") {
			b.WriteString(line + "\n")
			continue
		}
		column := 0
		for word := range strings.FieldsSeq(line) {
			n := utf8.RuneCountInString(word)
			switch {
			case column > 0 && column+1+n > width:
				b.WriteString("\n")
				column = 0
			case column > 0:
				b.WriteString(" ")
				column++
			}
			b.WriteString(word)
			column += n
		}
		b.WriteString("\n")
	}
	return b.String()
}

// brief is a duration to three or four digits.
func brief(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
