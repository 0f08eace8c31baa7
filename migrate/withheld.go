package migrate

import (
	"context"
	_ "embed" // for a long question
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// failure is the error of an answer. Where a DBA took a catalogue or a function of the server
// from everybody, it says which one, and how the role gets it back.
func (a answer) failure() error {
	if a.err == nil {
		return nil
	}
	name, function := a.withheld()
	if name == "" {
		return a.err
	}
	to := "PUBLIC" // as it is by default; some poolers do not say who asks
	if a.me != "" {
		to = sqltext.QuoteName(a.me)
	}
	kind := "catalogue"
	if function {
		kind = "function"
	}
	return withheldError(kind, name, a.me, to, a.err.Message)
}

// withheldError is about something of the server's that every role may use by default.
func withheldError(kind, name, me, to, said string) *PrivilegeError {
	lacks := &PrivilegeError{beyond: true}
	if name == "pg_catalog" || name == "information_schema" {
		kind = "schema"
	}
	verb := map[string]string{"catalogue": "read", "function": "call"}[kind]
	if verb == "" {
		verb = "use"
	}
	who := "this role"
	if me != "" {
		who = fmt.Sprintf("the role %q", me)
	}
	lacks.Lacks = fmt.Sprintf("%s may not %s the server's %s %s, as every role may by default: %s", who, verb, kind,
		name, said)
	switch kind {
	case "catalogue":
		lacks.SQL = []string{"GRANT SELECT ON pg_catalog." + sqltext.QuoteName(name) + " TO " + to}
		return lacks
	case "schema":
		lacks.SQL = []string{"GRANT USAGE ON SCHEMA " + name + " TO " + to}
		return lacks
	case "language":
		lacks.SQL = []string{"GRANT USAGE ON LANGUAGE " + sqltext.QuoteName(name) + " TO " + to}
		return lacks
	case "type":
		lacks.SQL = []string{"GRANT USAGE ON TYPE pg_catalog." + sqltext.QuoteName(name) + " TO " + to}
		return lacks
	}
	lacks.SQL = []string{"DO " + dollarQuote(" DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc WHERE "+
		"pronamespace = 'pg_catalog'::regnamespace AND proname = "+sqltext.QuoteText(name)+
		"\n    LOOP EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO "+
		strings.ReplaceAll(strings.ReplaceAll(to, "'", "''"), "%", "%%")+"', f); END LOOP; END ")}
	return lacks
}

// withheld finds the catalogue or function that was refused: the server's message names it, in
// whichever language it is. A name in quotes in the question is one of ours, for which it is
// not the server that has to be asked.
func (a answer) withheld() (name string, function bool) {
	if a.err.Code != insufficientPrivilege {
		return "", false
	}
	words := regexp.MustCompile(`[a-z_][a-z0-9_]*`).FindAllString(a.err.Message, -1)
	for _, word := range words {
		switch {
		case strings.Contains(a.asked, word+"("):
			return word, true
		case strings.HasPrefix(word, "pg_"):
			// a view calls functions as who asks
			return word, !regexp.MustCompile(`\b` + word + `\b`).MatchString(a.asked)
		}
	}
	last := ""
	for _, word := range words { // afterwards, for words such as function may be names in a question, too
		if strings.Contains(a.asked, sqltext.QuoteName(word)) || strings.Contains(a.asked, sqltext.QuoteText(word)) {
			return "", false
		}
		last = word
	}
	return last, last != "" // one that an operator calls
}

//go:embed withheld.sql
var askWithheld string

// withheldFrom finds out whether a statement that is no question failed because a DBA took a
// function, a catalogue, a type or a language of the server from everybody. There the server is
// asked: the same words may be about an object of a file. nil when that is not the cause.
func (r *run) withheldFrom(ctx context.Context, conn *pgconn.PgConn, err *pgconn.PgError) *PrivilegeError {
	if err.Code != insufficientPrivilege {
		return nil
	}
	var words []string
	for _, word := range regexp.MustCompile(`[a-z_"][a-z0-9_"]*`).FindAllString(err.Message, -1) {
		words = append(words, strings.Trim(word, `"`))
	}
	if len(words) == 0 {
		return nil
	}
	answers, lost := flight(ctx, conn, untimed+
		strings.ReplaceAll(askWithheld, "$words", sqltext.QuoteText("{"+strings.Join(words, ",")+"}")))
	if lost != nil {
		return nil //nolint:nilerr // it is asked only to explain something
	}
	var found []struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	}
	refused := answers[0].into(&found)
	if lacks, ok := errors.AsType[*PrivilegeError](refused); ok { // first things first
		return lacks
	}
	if refused != nil || len(found) == 0 {
		return nil //nolint:nilerr // as above
	}
	// in the plural there, so that no word of the server's is quoted in the question
	kind := strings.TrimSuffix(strings.TrimPrefix(found[0].Kind, "of "), "s")
	return withheldError(kind, found[0].Name, r.me, sqltext.QuoteName(r.me), err.Message)
}
