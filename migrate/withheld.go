package migrate

import (
	"context"
	_ "embed"
	"errors"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

//go:embed withheld.sql
var askWithheld string

// withheldFrom finds out whether a statement that is no question failed because a DBA took a
// function, a catalogue, a type or a language of the server from everybody. There the server is
// asked: the same words may be about an object of a file. nil when that is not the cause.
func (r *run) withheldFrom(ctx context.Context, conn *pgconn.PgConn, err *pgconn.PgError) *pg.PrivilegeError {
	if err.Code != pg.InsufficientPrivilege {
		return nil
	}
	var words []string
	for _, word := range regexp.MustCompile(`[a-z_"][a-z0-9_"]*`).FindAllString(err.Message, -1) {
		words = append(words, strings.Trim(word, `"`))
	}
	if len(words) == 0 {
		return nil
	}
	var found []struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	}
	refused := pg.Ask(ctx, conn, pg.Untimed+
		strings.ReplaceAll(askWithheld, "$words", sqltext.QuoteText("{"+strings.Join(words, ",")+"}")), &found)
	if lacks, ok := errors.AsType[*pg.PrivilegeError](refused); ok { // first things first
		return lacks
	}
	if refused != nil || len(found) == 0 {
		return nil //nolint:nilerr // it is asked only to explain something
	}
	// in the plural there, so that no word of the server's is quoted in the question
	kind := strings.TrimSuffix(strings.TrimPrefix(found[0].Kind, "of "), "s")
	return pg.WithheldError(kind, found[0].Name, r.me, sqltext.QuoteName(r.me), err.Message)
}
