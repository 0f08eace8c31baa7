package main

import (
	"flag"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEveryCommandIsExplained(t *testing.T) {
	t.Parallel()
	var p program
	var files []string
	for _, c := range p.commands() {
		files = append(files, c.helpFile())
		page, text := p.page(c), c.manual()
		if !strings.Contains(page, "\nExamples:\n  ") || !strings.Contains(text.examples, "avtotpy") {
			t.Errorf("%s: its page holds no example", c.called())
		}
		if c.bind != nil && !regexp.MustCompile(`\nExit codes:\n +0  `).MatchString(page) {
			t.Errorf("%s: its page holds no exit codes", c.called())
		}
		if text.summary == "" || text.about == "" {
			t.Errorf("%s: there is no summary, or no text", c.called())
		}
		for line := range strings.Lines(page) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
				t.Errorf("%s: a line of its page has %d columns, want at most 80: %s", c.called(), n, line)
			}
		}
		flags, _ := c.flags()
		flags.VisitAll(func(f *flag.Flag) {
			if !strings.Contains(page, "\n  "+written(f)+"  ") {
				t.Errorf("%s: --%s is not on its page", c.called(), f.Name)
			}
		})
	}
	slices.Sort(files)
	if all, err := fs.Glob(helpFiles, "help/*"); err != nil || !slices.Equal(all, files) {
		t.Errorf("the help files are %q, %v, want those of the commands: %q", all, err, files)
	}
}

func TestEveryExampleIsACommandLineThatExists(t *testing.T) {
	t.Parallel()
	var p program
	called := regexp.MustCompile(`\bavtotpy( [a-z-][^|&")]*)?`)
	for _, c := range p.commands() {
		for line := range strings.Lines(c.manual().examples) {
			if strings.HasPrefix(line, " ") { // what it is for
				continue
			}
			for _, call := range called.FindAllString(line, -1) {
				other, rest := p.find(strings.Fields(call)[1:])
				flags, _ := other.flags()
				if err := flags.Parse(rest); err != nil || flags.NArg() > 0 && other.takes == "" {
					t.Errorf("%s: the example %q is no command line: %v %q", c.called(), call, err, flags.Args())
				}
			}
		}
	}
}
