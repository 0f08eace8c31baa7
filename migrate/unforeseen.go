package migrate

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

// An UnforeseenError is an error of the server for which no step has an explanation. What
// was begun is rolled back, and trying again is safe.
type UnforeseenError struct {
	Step string // what was being done
	Err  *pgconn.PgError
}

func (e *UnforeseenError) Error() string {
	var b strings.Builder
	b.WriteString(e.Step + ": the server says: " + e.Err.Message + " (" + e.Err.Code + ")")
	for _, part := range []struct{ name, text string }{{"detail", e.Err.Detail}, {"hint", e.Err.Hint}} {
		if part.text != "" {
			b.WriteString("\n" + part.name + ": " + strings.ReplaceAll(part.text, "\n", "\n  "))
		}
	}
	b.WriteString("\nNothing is half-done, and starting again is safe")
	return b.String()
}

func (e *UnforeseenError) Unwrap() error { return e.Err }

// unforeseen names the step of an error that is the server's alone, with nothing but words
// around it.
func unforeseen(doing func() string, err error) error {
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	for inner := err; inner != error(refusal); inner = errors.Unwrap(inner) { //nolint:errorlint // it walks the chain
		if _, several := inner.(interface{ Unwrap() []error }); several || explains(inner) {
			return err
		}
	}
	words, bare := strings.CutSuffix(err.Error(), refusal.Error())
	switch {
	case !bare: // what follows says more
		return err
	case words == "":
		return &UnforeseenError{Step: doing(), Err: refusal}
	}
	return &UnforeseenError{Step: strings.TrimSuffix(words, ": "), Err: refusal}
}

// explains reports whether an error is more than words around another one.
func explains(err error) bool {
	switch err.(type) { //nolint:errorlint // each error of the chain is asked by itself
	case *MigrationError, *BusyError, *ConnectError, *pg.PrivilegeError, *BackupError, *pg.ConnLostError, *retryError,
		*UnforeseenError:
		return true
	}
	return false
}

// doing is the step that a run is at, for messages.
func (r *run) doing() string {
	now, _ := r.teller.moment()
	switch {
	case now.File != "":
		return string(now.Phase) + " " + now.File
	case now.Phase == Applying:
		return "creating the schema"
	case now.Phase == Looking:
		return "looking at the database"
	case now.Phase == Reconciling:
		return "making the rights of the service's role equal to the declared ones"
	}
	return string(now.Phase)
}
