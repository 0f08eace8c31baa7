package review_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// disguise writes a statement in another way: names in quotes and with escapes, words in other
// letters, comments for white space.
func disguise(r *rand.Rand, sql string) string {
	var b strings.Builder
	end := 0
	for _, tokens := range sqltext.Tokens(sql) {
		for i, t := range tokens {
			gap := sql[end:t.Start]
			if i > 0 && gap != "" && strings.TrimSpace(gap) == "" {
				gap = pick(r, gap, gap, "\t", "/**/", " /* a /* ; ' */ b */ ")
			}
			b.WriteString(gap)
			end = t.Start + len(t.Text)
			dotted := i > 0 && tokens[i-1].Word == "." || i+1 < len(tokens) && tokens[i+1].Word == "."
			switch name := plainName.MatchString(t.Text) && (dotted || shortName.MatchString(t.Text)); {
			case name && r.IntN(2) == 0:
				b.WriteString(pick(r, `"`+t.Text+`"`, fmt.Sprintf(`U&"\%04x%s"`, t.Text[0], t.Text[1:])))
			case t.Word != "" && r.IntN(2) == 0:
				b.WriteString(pick(r, strings.ToUpper(t.Text), strings.ToLower(t.Text)))
			default:
				b.WriteString(t.Text)
			}
		}
	}
	return b.String() + sql[end:]
}

// In the pieces, what is a name is written small; a short one is no type.
var (
	plainName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	shortName = regexp.MustCompile(`^(.|id|at|.*_(key|pkey|check|idx|fkey|excl|uni)|twin|proof|late|trg|pol)$`)
)

// TestADisguiseChangesNothing compares what the review says of random changes with what it says of the
// same ones in other words.
func TestADisguiseChangesNothing(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 12))
	loaded := 0
	const tries = 1500
	for range tries {
		c := random(r, 0)
		plain, ok := c.said(t)
		if !ok {
			continue
		}
		loaded++
		var lines []string
		for line := range strings.SplitSeq(c.made, "\n") {
			lines = append(lines, disguise(r, line))
		}
		d := change{made: strings.Join(lines, "\n")}
		for _, f := range c.files {
			var file []string
			for _, sql := range f {
				file = append(file, disguise(r, sql))
			}
			d.files = append(d.files, file)
		}
		if disguised, ok := d.said(t); !ok ||
			!maps.EqualFunc(plain, disguised, func(_, _ string) bool { return true }) {
			t.Errorf("%s\n got %v\nwant %v", d, disguised, plain)
		}
	}
	if loaded < tries/2 {
		t.Errorf("only %d of %d changes could be loaded", loaded, tries)
	}
}
