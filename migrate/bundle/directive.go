package bundle

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// An Exemption lets a file break a rule of package review, which alone knows the rules:
// what is allowed here may not exist.
type Exemption struct {
	Rule   string
	Offset int // where in the file's SQL the directive stands, in bytes
}

// exempt obeys the directive. Whether there is such a rule is for package review to say:
// a released file must load with later versions of this package, too.
func (m *Migration) exempt(at int, argument string) error {
	name, reason, _ := strings.Cut(argument, " ")
	reason, ok := strings.CutPrefix(strings.TrimSpace(reason), "because ")
	switch {
	case name == "" || !ok || strings.TrimSpace(reason) == "":
		return errors.New("write -- migrate:allow RULE because REASON, the rule being the word in parentheses " +
			"behind the message")
	case slices.ContainsFunc(m.Exemptions, func(a Exemption) bool { return a.Rule == name }):
		return fmt.Errorf("%s is allowed twice", name)
	}
	m.Exemptions = append(m.Exemptions, Exemption{name, at})
	return nil
}

// looksLikeDirective reports whether a comment was meant to be a directive and is not written
// like one: "Migrate :min-version 3", "- migrate: min-version 3", "migration min_version 3".
func looksLikeDirective(text string) bool {
	text = strings.TrimLeft(text[:min(len(text), 80)], "-+@#*! \t\r\n")
	if len(text) < 2 || !strings.EqualFold(text[:2], "mi") {
		return false // nearly all comments
	}
	text = strings.NewReplacer(" ", "", "\t", "", "-", "", "_", "", "\r", "", "\n", "").Replace(strings.ToLower(text))
	if strings.HasPrefix(text, "migrate:") {
		return true
	}
	for _, verb := range []string{"", "migrate", "migrates", "migration", "migrations", "migrator"} {
		rest, ok := strings.CutPrefix(text, verb)
		rest = strings.TrimLeft(rest, ":;.=/")
		if number, is := strings.CutPrefix(rest, "minversion"); ok && is && strings.Trim(number, ":=0123456789") == "" {
			return true
		}
		if ok && verb != "" && (rest == "notransaction" || strings.HasPrefix(rest, "allow") &&
			strings.Contains(rest, "because")) {
			return true
		}
	}
	return false
}
