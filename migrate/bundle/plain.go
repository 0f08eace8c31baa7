package bundle

import (
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// plain reports whether a file runs nothing but what its text shows, where no event trigger
// adds to it: no function, no trigger, and no constant that the constraints of a type may be
// asked about. Then it can change neither a setting nor, where the loader has looked, the
// ledger. It is false when in doubt.
func plain(sql string, statements []sqltext.Statement) bool {
	for _, s := range statements {
		words, text := s.Words, strings.ToUpper(sql[s.Start:s.End])
		has := func(word string) bool { return slices.Contains(words, word) }
		if len(words) > 2 && (words[1] == "UNIQUE" || words[1] == "UNLOGGED") {
			words = words[1:]
		}
		switch {
		case len(words) < 2: // such as one in parentheses
			return false
		case words[0] == "COMMENT":
		case s.Words[0] != "CREATE":
			return false
		case words[1] == "TABLE" && !has("AS") && !has("OF") && !has("PARTITION") && !strings.ContainsAny(text, "'$") &&
			// which build indexes with conditions
			!strings.Contains(text, "EXCLUDE") && !strings.Contains(text, "LIKE"):
		case words[1] == "INDEX" && !has("WHERE") && !has("USING") && strings.Count(text, "(") == 1: // of columns
		default:
			return false
		}
	}
	return true
}
