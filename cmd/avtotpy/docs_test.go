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

// TestLinksBetweenDocumentsResolve is about all Markdown files: a link to a file finds it, and one to a heading finds
// that.
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
		t.Errorf("%d documents, %d links in README.md: the test does not find them", len(links),
			len(links["README.md"]))
	}
}

// TestTheTestsOfTheSecurityModelExist keeps claims of docs/security.md from outliving the tests that hold them.
func TestTheTestsOfTheSecurityModelExist(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	err = fs.WalkDir(os.DirFS("../.."), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path.Join("../..", name))
		for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(content), -1) {
			there[found[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(document), -1)
	for _, name := range named {
		if !there[name[1]] {
			t.Errorf("docs/security.md names %s, and there is no such test", name[1])
		}
	}
	const fewest = 40
	if len(named) < fewest {
		t.Errorf("docs/security.md names %d tests", len(named))
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
