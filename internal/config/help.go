package config

import (
	_ "embed" // for the page
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/connstring"
)

// WriteHelp writes every variable with its default and what it does, for a terminal of 100 columns.
func WriteHelp(w io.Writer) error {
	const column = 54
	var b strings.Builder
	b.WriteString(wrap("Settings are environment variables; an empty one counts as not set. Those marked * "+
		"are secrets: "+
		"instead of NAME, the variable NAME_FILE may hold the path of a file with the secret in it.", ""))
	group := ""
	for _, v := range variables() {
		if v.group != group {
			heading := v.group
			if group == "" {
				heading = fmt.Sprintf("%-*s%s", column, heading, "Default")
			}
			group = v.group
			b.WriteString("\n" + heading + "\n\n")
		}
		name := v.name
		if v.secret {
			name += " *"
		}
		fmt.Fprintf(&b, "  %-*s%s\n", column-2, name, v.byDefault())
		b.WriteString(wrap(v.help, "      "))
		if v.example != "" && v.name != mode {
			b.WriteString("      Example: " + v.example + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// byDefault returns what holds when the variable is not set.
func (v variable) byDefault() string {
	if v.def != "" {
		return v.def
	}
	return v.whenUnset
}

// wrap breaks text into indented lines of at most 100 columns.
func wrap(text, indent string) string {
	const width = 100
	var b strings.Builder
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line) > len(indent) && len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	return b.String() + line + "\n"
}

// page is docs/configuration.md without what is generated.
//
//go:embed configuration.tmpl
var page string

// WriteMarkdown writes docs/configuration.md.
func WriteMarkdown(w io.Writer) error {
	_, err := strings.NewReplacer(
		"{{modes}}\n", modeRows(),
		"{{parameters}}\n", parameterLines(),
		"{{variables}}\n", variableSections(),
	).WriteString(w, page)
	return err
}

// modeRows are the rows of the table of what each mode needs.
func modeRows() string {
	var b strings.Builder
	for _, v := range variables() {
		if len(v.neededBy) == 0 {
			continue
		}
		b.WriteString("| " + v.link())
		for _, m := range []Mode{Run, RunAndExit, Skip} {
			switch {
			case slices.Contains(v.neededBy, m):
				b.WriteString(" | needed")
			case v.usedIn(m):
				b.WriteString(" | to compare")
			default:
				b.WriteString(" | not read")
			}
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

// parameterLines lists the parameters that connection strings may hold.
func parameterLines() string {
	const width = 110
	var b strings.Builder
	line := ""
	for i, name := range connstring.Parameters() {
		word := "`" + name + "`"
		if i > 0 {
			word = ", " + word
		}
		if len(line)+len(word) > width {
			b.WriteString(line + ",\n")
			line, word = "", strings.TrimPrefix(word, ", ")
		}
		line += word
	}
	return b.String() + line + "\n"
}

// variableSections explains each variable, by group.
func variableSections() string {
	var b strings.Builder
	group := ""
	for _, v := range variables() {
		if v.group != group {
			group = v.group
			b.WriteString("\n## " + group + "\n")
		}
		v.writeMarkdown(&b)
	}
	return b.String()
}

// link returns the variable's name as a link to its section.
func (v variable) link() string {
	return "[`" + v.name + "`](#" + strings.ToLower(v.name) + ")"
}

// writeMarkdown writes the variable's section.
func (v variable) writeMarkdown(b *strings.Builder) {
	b.WriteString("\n### `" + v.name + "`\n\n" + escapeMarkdown(v.help) + "\n\n")
	if v.def != "" {
		b.WriteString("- Default: `" + v.def + "`\n")
	} else {
		b.WriteString("- Default: " + escapeMarkdown(v.whenUnset) + "\n")
	}
	if v.secret {
		b.WriteString("- Secret, also as `" + v.fileName() + "`\n")
	}
	b.WriteString("- Example: `" + v.assignment() + "`\n")
}

// escapeMarkdown puts the words of a text that are code in backticks.
func escapeMarkdown(text string) string {
	words := strings.Split(text, " ")
	for i, word := range words {
		bare := strings.TrimRight(word, ".,;:")
		if strings.ContainsAny(bare, "_~$=") || bare == string(Run) || bare == string(Skip) {
			words[i] = "`" + bare + "`" + word[len(bare):]
		}
	}
	return strings.Join(words, " ")
}
