package migrate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A witness is what the schema's comment says of the ledger: its version and the
// fingerprint of its rows. Each migration writes it in its own transaction. It
// survives when the ledger is dropped, emptied or edited, and travels with a dump, so
// that a ledger which lost rows is noticed even when what is left looks whole.
type witness struct {
	version int
	history string // SHA-256 of all ledger lines, in hexadecimal
}

const (
	witnessVersion = "migrated to version "
	witnessHistory = ", history sha256:"
)

func (w witness) String() string {
	return witnessVersion + strconv.Itoa(w.version) + witnessHistory + w.history
}

// testify is the statement that writes the second witness.
func (m *Migrator) testify(version int, history string) string {
	return "COMMENT ON SCHEMA " + sqltext.QuoteName(m.Schema) + " IS " +
		sqltext.QuoteText(witness{version, history}.String())
}

// parseWitness reads a schema's comment; ok is false when it is no witness, because
// somebody wrote another comment or took it away.
func parseWitness(comment string) (w witness, ok bool) {
	rest, ok := strings.CutPrefix(comment, witnessVersion)
	if !ok {
		return witness{}, false
	}
	version, history, ok := strings.Cut(rest, witnessHistory)
	n, err := strconv.Atoi(version)
	const digits = 64
	if !ok || err != nil || n < 0 || len(history) != digits || strings.Trim(history, "0123456789abcdef") != "" {
		return witness{}, false
	}
	return witness{n, history}, true
}

// contradicts says how the schema's comment and its ledger, which is nil when it is
// missing, contradict each other; "" when they agree.
func contradicts(comment string, l *ledgerSeen) string {
	w, ok := parseWitness(comment)
	switch {
	case !ok && comment == "":
		return "the schema's comment, which should say the same as the table of applied migrations, is missing"
	case !ok:
		return fmt.Sprintf("the schema's comment should say the same as the table of applied migrations, and is %q",
			beginning(comment))
	case l == nil || l.Rows == 0 && w.version > 0:
		return fmt.Sprintf("the table of applied migrations is missing or empty, and the schema's comment says "+
			"version %d", w.version)
	case l.Version != w.version:
		return fmt.Sprintf("the table of applied migrations says version %d, and the schema's comment version %d",
			l.Version, w.version)
	case l.Whole != w.history:
		return "the rows of the table of applied migrations are not those of which the schema's comment keeps " +
			"the checksum"
	}
	return ""
}

// beginning is what a message quotes of a comment: all of a witness, with room for what
// somebody wrote behind it.
func beginning(comment string) string {
	const most = 160
	if runes := []rune(comment); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return comment
}
