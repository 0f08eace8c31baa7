package main

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/avtotpy/avtotpy/internal/config"
)

// command parses the command line and runs the command.
func (p program) command(ctx context.Context) error {
	c, rest := p.find(p.args)
	flags, do := c.flags()
	switch err := flags.Parse(rest); {
	case errors.Is(err, flag.ErrHelp):
		return p.help(strings.Fields(c.name))
	case err != nil:
		return p.usageError(c, flagMessage(err, flags))
	case flags.NArg() > 0 && c.takes == "":
		return p.unexpectedArgs(c, flags.Args())
	case do == nil:
		return p.usageError(c, p.missingSubcommand(c))
	}
	return do(ctx, flags.Args())
}

// find returns the command with the most words at the start of args, and the rest of args.
// Without any it is avtotpy itself.
func (p program) find(args []string) (command, []string) {
	var found command
	for _, c := range p.commands() {
		words := strings.Fields(c.name)
		if len(words) <= len(args) && slices.Equal(words, args[:len(words)]) && len(c.name) >= len(found.name) {
			found = c
		}
	}
	return found, args[len(strings.Fields(found.name)):]
}

// flags returns the flags of a command and what it does with them.
func (c command) flags() (*flag.FlagSet, action) {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // command reports what is wrong
	if c.bind == nil {
		return flags, nil
	}
	return flags, c.bind(flags)
}

// below lists the commands that begin with c's words.
func (p program) below(c command) []string {
	var names []string
	for _, other := range p.commands() {
		if c.name == "" && other.name != "" || strings.HasPrefix(other.name, c.name+" ") {
			names = append(names, other.name)
		}
	}
	return names
}

// unexpectedArgs is the error for words after a command that takes none: they may be a misspelt
// command.
func (p program) unexpectedArgs(c command, words []string) error {
	names := p.below(c)
	if len(names) == 0 {
		return p.usageError(c, fmt.Sprintf("unexpected argument %s; write flags as --flag=value",
			config.Shown(words[0])))
	}
	if words = beforeFlags(words); len(words) == 0 {
		return p.usageError(c, p.missingSubcommand(c))
	}
	typed := strings.TrimSpace(c.name + " " + strings.Join(words, " "))
	message := "there is no command " + config.Shown(typed)
	if !strings.Contains(message, typed) {
		message = "there is no command of this name, which is not repeated here, as it may hold a secret"
	}
	best, distance := config.Nearest(typed, names)
	for _, name := range names { // "avtotpy status", without the word before it
		if strings.HasSuffix(name, " "+typed) {
			best, distance = name, 0
		}
	}
	if best != "" && distance <= len(words[len(words)-1])/2 {
		message += fmt.Sprintf("; did you mean %q?", best)
	}
	return p.usageError(c, message)
}

// missingSubcommand lists the commands that begin with c's words.
func (p program) missingSubcommand(c command) string {
	names := p.below(c)
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, c.name+" ")
	}
	if last := len(names) - 1; c.name != "" && last > 0 {
		return fmt.Sprintf("missing subcommand: %s %s or %s", c.called(), strings.Join(names[:last], ", "), names[last])
	}
	return "missing subcommand"
}

// beforeFlags cuts words off at the first flag.
func beforeFlags(words []string) []string {
	if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "-") }); i >= 0 {
		return words[:i]
	}
	return words
}

// flagMessage is an error of the flag package in this program's words.
func flagMessage(err error, flags *flag.FlagSet) string {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		text := strings.NewReplacer("boolean value", "value", " -", " --").Replace(err.Error())
		head, value, _ := strings.Cut(text, "invalid value ")
		if at := strings.LastIndex(value, " for "); at >= 0 { // the value may be a secret
			written, err := strconv.Unquote(value[:at])
			if err != nil {
				written = value[:at]
			}
			text = head + "invalid value " + config.Shown(written) + value[at:]
		}
		return text
	}
	message := "there is no flag " + strings.Trim(config.Shown("--"+name), `"`)
	var known []string
	flags.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
	if best, distance := config.Nearest(name, known); best != "" && distance <= len(best)/2 {
		message += "; did you mean --" + best + "?"
	}
	return message
}

// helpFiles explain the commands, each in a file of its name: a summary for lists in the first
// line, the text of its page, examples, and exit codes. Lines have up to 80 columns.
//
//go:embed help/*.txt
var helpFiles embed.FS

// A manual is what a help file says.
type manual struct {
	summary, about, examples string
	exits                    string // "" for a command that only groups others
}

// manual reads the help file of a command. Without exit codes there, those of the group hold.
func (c command) manual() manual {
	content, _ := helpFiles.ReadFile(c.helpFile()) // a test proves that it is there
	var m manual
	rest, exits, _ := strings.Cut(string(content), "\nExit codes:\n")
	rest, examples, _ := strings.Cut(rest, "\nExamples:\n")
	m.summary, m.about, _ = strings.Cut(rest, "\n")
	m.about, m.examples, m.exits = strings.TrimSpace(m.about), strings.TrimSpace(examples), strings.Trim(exits, "\n")
	group, _, inGroup := strings.Cut(c.name, " ")
	switch {
	case c.bind == nil:
		m.exits = ""
	case m.exits == "" && inGroup:
		all, _ := helpFiles.ReadFile(command{name: group}.helpFile())
		_, exits, _ := strings.Cut(string(all), "\nExit codes:\n")
		m.exits = strings.Trim(exits, "\n")
	}
	return m
}

func (c command) helpFile() string {
	return "help/" + strings.ReplaceAll(cmp.Or(c.name, "avtotpy"), " ", "-") + ".txt"
}

// A usageError is a command line that is not understood.
type usageError struct{ message, usage, help string }

func (p program) usageError(c command, message string) error {
	return &usageError{message, p.usage(c), strings.TrimSpace("avtotpy help " + c.name)}
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%s\nusage: %s\n%q says more", e.message, e.usage, e.help)
}

func (e *usageError) Unwrap() error { return errUsage }

// called is the command as one calls it.
func (c command) called() string { return strings.TrimSpace("avtotpy " + c.name) }

// usage is one line.
func (p program) usage(c command) string {
	parts := []string{c.called()}
	flags, do := c.flags()
	flags.VisitAll(func(f *flag.Flag) { parts = append(parts, "["+written(f)+"]") })
	switch next := strings.ReplaceAll(strings.Join(p.below(c), " | "), c.name+" ", ""); {
	case c.name == "":
		parts = append(parts, "[COMMAND]")
	case do == nil:
		parts = append(parts, next)
	case next != "":
		parts = append(parts, "["+next+"]")
	case c.takes != "":
		parts = append(parts, c.takes)
	}
	return strings.Join(parts, " ")
}

// written is a flag as one types it, with the name of its value.
func written(f *flag.Flag) string {
	value, _ := flag.UnquoteUsage(f)
	optional, _ := f.Value.(interface{ IsBoolFlag() bool })
	switch {
	case value == "" || value == "value":
		return "--" + f.Name
	case optional != nil && optional.IsBoolFlag():
		return "--" + f.Name + "[=" + value + "]"
	}
	return "--" + f.Name + "=" + value
}

func (p program) bindHelp(*flag.FlagSet) action {
	return func(_ context.Context, words []string) error { return p.help(words) }
}

// help prints the page of a command, or the page of all.
func (p program) help(words []string) error {
	c, rest := p.find(beforeFlags(words))
	if len(rest) > 0 {
		return p.unexpectedArgs(c, rest)
	}
	if _, err := io.WriteString(p.stdout, p.page(c)); err != nil || c.name != "" {
		return err
	}
	return config.WriteHelp(p.stdout)
}

// page explains a command. That of avtotpy itself lists the others, and the settings
// follow it.
func (p program) page(c command) string {
	var b strings.Builder
	if c.name == "" {
		b.WriteString("AVTotpy is a self-hosted TOTP authenticator on PostgreSQL that manages its own\nschema.\n\n")
	}
	text := c.manual()
	fmt.Fprintf(&b, "%s\n%s\n", fold("Usage: "+p.usage(c)), text.about)
	p.writeList(&b, c)
	flags, _ := c.flags()
	var rows [][]string
	flags.VisitAll(func(f *flag.Flag) {
		_, usage := flag.UnquoteUsage(f)
		rows = append(rows, []string{"  " + written(f), usage})
	})
	writeSection(&b, "Flags", columns(rows))
	writeSection(&b, "Examples", indent(text.examples))
	writeSection(&b, "Exit codes", indent(text.exits))
	if c.name == "" {
		b.WriteString("\n\"avtotpy help COMMAND\" explains a command, with examples and exit codes.\n\n")
	}
	return b.String()
}

// writeList lists the commands that begin with c's words.
func (p program) writeList(b *strings.Builder, c command) {
	names := p.below(c)
	var rows [][]string
	for _, other := range p.commands() {
		if slices.Contains(names, other.name) {
			rows = append(rows, []string{"  " + other.called(), other.manual().summary})
		}
	}
	writeSection(b, "Commands", columns(rows))
}

func writeSection(b *strings.Builder, heading, text string) {
	if text != "" {
		fmt.Fprintf(b, "\n%s:\n%s", heading, text)
	}
}

func indent(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ") + "\n"
}
