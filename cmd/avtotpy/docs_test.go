package main

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// TestLinksBetweenDocumentsResolve is about all Markdown files: a link to a file finds it, and one to a heading finds that.
func TestLinksBetweenDocumentsResolve(t *testing.T) {
	t.Parallel()
	repository := os.DirFS("../..")
	headings := map[string]map[string]bool{}
	links := map[string][]string{}
	err := fs.WalkDir(repository, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir // caches
		case path.Ext(name) != ".md":
			return nil
		}
		content, err := fs.ReadFile(repository, name)
		headings[name], links[name] = headingsOf(string(content)), linksOf(string(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, all := range links {
		for _, link := range all {
			to, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if to.Scheme != "" { // elsewhere
				continue
			}
			file := name
			if to.Path != "" {
				file = path.Join(path.Dir(name), to.Path)
			}
			if _, err := fs.Stat(repository, file); err != nil {
				t.Errorf("%s: (%s) leads to no file", name, link)
			} else if to.Fragment != "" && headings[file] != nil && !headings[file][to.Fragment] {
				t.Errorf("%s: (%s) leads to no heading", name, link)
			}
		}
	}
	if len(links) < 20 || len(links["README.md"]) == 0 {
		t.Errorf("%d documents, %d links in README.md: the test does not find them", len(links), len(links["README.md"]))
	}
}

// withoutCode takes out what is not read as Markdown.
func withoutCode(text string) string {
	var prose strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		} else if !fenced {
			prose.WriteString(line)
		}
	}
	return prose.String()
}

func linksOf(text string) (links []string) {
	text = regexp.MustCompile("`[^`\n]*`").ReplaceAllString(withoutCode(text), "code")
	for _, found := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
		links = append(links, found[1])
	}
	return links
}

// headingsOf returns the names that GitHub gives to headings.
func headingsOf(text string) map[string]bool {
	names := map[string]bool{}
	for line := range strings.Lines(withoutCode(text)) {
		title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !ok || !strings.HasPrefix(line, "#") {
			continue
		}
		title = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(strings.TrimSpace(title), "$1")
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, title)
		unique := name
		for i := 1; names[unique]; i++ {
			unique = fmt.Sprintf("%s-%d", name, i)
		}
		names[unique] = true
	}
	return names
}
