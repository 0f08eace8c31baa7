package config

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/connstring"
)

// WriteHelp writes every variable with its default and meaning, for a terminal of 100 columns.
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
		b.WriteString(wrap(v.meaning, "      "))
		if v.example != "" && v.name != mode {
			b.WriteString("      Example: " + v.example + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// byDefault returns what holds when the variable is not set.
func (v variable) byDefault() string {
	if v.preset != "" {
		return v.preset
	}
	return v.otherwise
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

// WriteMarkdown writes docs/configuration.md.
func WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`<!-- Generated from internal/config: go test ./internal/config -update -->

# Configuration

AVTotpy reads its settings from environment variables. ` + "`avtotpy help`" + ` lists them in the terminal.

With no variable at all it starts on an embedded PostgreSQL: a server of its own, on a data folder of its own, with
generated passwords and a generated master key.

## What each mode needs

With PostgreSQL of your own, that is, as soon as one of the two connection strings is set:

| Variable | RUN | RUN_AND_EXIT | SKIP |
| --- | :-: | :-: | :-: |
`)
	for _, v := range variables() {
		if len(v.neededBy) > 0 {
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
	}
	b.WriteString(`
A mode does not read a secret that it does not need, so a web server in mode ` + "`SKIP`" + ` never sees the privileged connection
string. When it is told the unprivileged user, it warns if it connects as another.
The two connection strings must differ: they are two users of one database.

## Secrets

Instead of a secret itself, a file that holds it can be given: ` + "`NAME_FILE`" + ` is the path of a file with the value of
` + "`NAME`" + `. One newline at the end of the file is ignored. It is an error to set both. The file may be a pipe, which has to
deliver within ten seconds. A file that others can change, or that belongs to another user than root and the one that starts the
program, is refused, and one that every user can read is a warning; [permissions.md](permissions.md#files-that-hold-secrets) says
what that means for containers.

## Mistakes

An empty variable counts as not set. All problems are reported at once, and the exit code is 78. A variable that looks like
one of these and is none (` + "`AVTOTPY_*`, `POSTGRES_MIGRATOR_*`" + `) causes a warning; what Kubernetes sets for a Service called
` + "`avtotpy`" + ` does not.
`)
	b.WriteString(`
## Connection strings

A connection string is a URL, ` + "`postgres://USER:PASSWORD@HOST:PORT/DATABASE?NAME=VALUE&NAME=VALUE`" + `, or pairs,
` + "`host=HOST user=USER password='PASS WORD' dbname=DATABASE`" + `. In a URL, write ` + "`%40` for `@`, `%2F` for `/`, `%3A` for `:`," + `
` + "`%3F` for `?`, `%23` for `#`, `%25` for `%` and `%20`" + ` for a space that belongs to a value; in pairs, put such a value in single
quotes, with ` + "`\\`" + ` before ` + "`'` and `\\`" + `. It is checked before anything connects, together with the variables of PostgreSQL
(` + "`PGHOST`, `PGSSLMODE`, `PGSERVICE`" + ` …) and the service file that complete it, and no message repeats any of it.

The names of roles and databases may not hold ` + "`;`, `=`, `&` or `,`, those of databases `@` and `?`" + ` neither: in no form, with escapes or
quotes, in ` + "`PGUSER`" + ` or in a service file. They are what a slip of the pen in a password turns into, and names are shown in messages.
The way out is another name: ` + "`ALTER ROLE \"a;b\" RENAME TO ab`, `ALTER DATABASE \"a=b\" RENAME TO ab`" + `; a password may hold anything.

These parameters may be set: those of [libpq](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS) and of
pgx that the driver knows, and of the server's own those that limit how long something takes. What a statement means
is set by the program itself; the rest a DBA can set with ` + "`ALTER ROLE … SET`" + `. [tls.md](tls.md) is about those for TLS.

`)
	line := ""
	for i, name := range connstring.Parameters() {
		word := "`" + name + "`"
		if i > 0 {
			word = ", " + word
		}
		if len(line)+len(word) > 110 {
			b.WriteString(line + ",\n")
			line, word = "", strings.TrimPrefix(word, ", ")
		}
		line += word
	}
	b.WriteString(line + "\n")
	group := ""
	for _, v := range variables() {
		if v.group != group {
			group = v.group
			b.WriteString("\n## " + group + "\n")
		}
		v.writeMarkdown(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// link returns the variable's name as a link to its section.
func (v variable) link() string {
	return "[`" + v.name + "`](#" + strings.ToLower(v.name) + ")"
}

// writeMarkdown writes the variable's section.
func (v variable) writeMarkdown(b *strings.Builder) {
	b.WriteString("\n### `" + v.name + "`\n\n" + escapeMarkdown(v.meaning) + "\n\n")
	if v.preset != "" {
		b.WriteString("- Default: `" + v.preset + "`\n")
	} else {
		b.WriteString("- Default: " + escapeMarkdown(v.otherwise) + "\n")
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
