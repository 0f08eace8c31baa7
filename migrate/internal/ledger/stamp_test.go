package ledger

import (
	"strings"
	"testing"
)

func TestACommentIsQuotedAsFarAsAnybodyNeeds(t *testing.T) {
	stamp := Stamp{Version: 4, History: strings.Repeat("a", 64)}.String()
	for comment, want := range map[string]string{
		stamp + " and more":               `and is "` + stamp + ` and more"`,
		"ours":                            `and is "ours"`,
		stamp + strings.Repeat("é", 1000): "é…\"",
	} {
		if got := StampMismatch(comment, &Head{Version: 4, Rows: 4}); !strings.HasSuffix(got, want) ||
			len(got) > 400 {
			t.Errorf("%.120s\n got %s\nwant that it ends in %s", comment, got, want)
		}
	}
}
