package ledger

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A Stamp is what the schema's comment says of the ledger: its version and the
// fingerprint of its rows. Each migration writes it in its own transaction. It
// survives when the ledger is dropped, emptied or edited, and travels with a dump, so
// that a ledger which lost rows is noticed even when what is left looks whole.
type Stamp struct {
	Version int
	History string // SHA-256 of all ledger lines, in hexadecimal
}

// StampPrefix is how each stamp begins.
const StampPrefix = "migrated to version "

const stampHistory = ", history sha256:"

func (s Stamp) String() string {
	return StampPrefix + strconv.Itoa(s.Version) + stampHistory + s.History
}

// WriteStamp is the statement that writes the stamp of a schema.
func WriteStamp(schema string, version int, history string) string {
	return "COMMENT ON SCHEMA " + sqltext.QuoteName(schema) + " IS " +
		sqltext.QuoteText(Stamp{version, history}.String())
}

// ParseStamp reads a schema's comment; ok is false when it is not a stamp, because
// another comment was written over it, or it was removed.
func ParseStamp(comment string) (s Stamp, ok bool) {
	rest, ok := strings.CutPrefix(comment, StampPrefix)
	if !ok {
		return Stamp{}, false
	}
	version, history, ok := strings.Cut(rest, stampHistory)
	n, err := strconv.Atoi(version)
	const digits = 64
	if !ok || err != nil || n < 0 || len(history) != digits || strings.Trim(history, "0123456789abcdef") != "" {
		return Stamp{}, false
	}
	return Stamp{n, history}, true
}

// StampMismatch says how the schema's comment and its ledger, which is nil when it is
// missing, contradict each other; "" when they agree.
func StampMismatch(comment string, h *Head) string {
	s, ok := ParseStamp(comment)
	switch {
	case !ok && comment == "":
		return "the schema's comment, which should say the same as the table of applied migrations, is missing"
	case !ok:
		return fmt.Sprintf("the schema's comment should say the same as the table of applied migrations, and is %q",
			beginning(comment))
	case h == nil || h.Rows == 0 && s.Version > 0:
		return fmt.Sprintf("the table of applied migrations is missing or empty, and the schema's comment says "+
			"version %d", s.Version)
	case h.Version != s.Version:
		return fmt.Sprintf("the table of applied migrations says version %d, and the schema's comment version %d",
			h.Version, s.Version)
	case h.Whole != s.History:
		return "the rows of the table of applied migrations are not those of which the schema's comment keeps " +
			"the checksum"
	}
	return ""
}

// beginning is what a message quotes of a comment: a whole stamp, with room for what was added to it.
func beginning(comment string) string {
	const most = 160
	if runes := []rune(comment); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return comment
}
