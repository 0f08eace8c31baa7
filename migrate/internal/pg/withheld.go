package pg

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A PrivilegeError means that the migrator's role lacks a right, or that the
// service's role cannot be what it is meant to be. Nothing was changed.
type PrivilegeError struct {
	Lacks string
	SQL   []string // what a DBA can run to fix it

	Beyond bool // it is not about the rights of the service's role
}

// Failure is the error of an answer. Where a DBA took a catalogue or a function of the server
// from everybody, it says which one, and how the role gets it back.
func (a Result) Failure() error {
	if a.Err == nil {
		return nil
	}
	name, function := a.withheld()
	if name == "" {
		return a.Err
	}
	to := "PUBLIC" // as it is by default; some poolers do not say who asks
	if a.me != "" {
		to = sqltext.QuoteName(a.me)
	}
	kind := "catalogue"
	if function {
		kind = "function"
	}
	return WithheldError(kind, name, a.me, to, a.Err.Message)
}

// WithheldError is about something of the server's that every role may use by default.
func WithheldError(kind, name, me, to, said string) *PrivilegeError {
	lacks := &PrivilegeError{Beyond: true}
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
	lacks.SQL = []string{"DO " + sqltext.DollarQuote(" DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM "+
		"pg_proc WHERE "+
		"pronamespace = 'pg_catalog'::regnamespace AND proname = "+sqltext.QuoteText(name)+
		"\n    LOOP EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO "+
		strings.ReplaceAll(strings.ReplaceAll(to, "'", "''"), "%", "%%")+"', f); END LOOP; END ")}
	return lacks
}

// withheld finds the catalogue or function that was refused: the server's message names it, in
// whichever language it is. A name in quotes in the question is one of ours, for which it is
// not the server that has to be asked.
func (a Result) withheld() (name string, function bool) {
	if a.Err.Code != InsufficientPrivilege {
		return "", false
	}
	words := regexp.MustCompile(`[a-z_][a-z0-9_]*`).FindAllString(a.Err.Message, -1)
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
