package migrate

import (
	"fmt"
	"regexp"
	"strings"
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
	to := "CURRENT_USER"
	if a.me != "" {
		to = quoteName(a.me)
	}
	lacks := &PrivilegeError{beyond: true}
	if !function {
		lacks.Lacks = fmt.Sprintf("the role %q may not read the server's catalogue %s, as every role may by default: %s", a.me, name, a.err.Message)
		lacks.SQL = []string{"GRANT SELECT ON pg_catalog." + quoteName(name) + " TO " + to}
		return lacks
	}
	lacks.Lacks = fmt.Sprintf("the role %q may not call the server's function %s, as every role may by default: %s", a.me, name, a.err.Message)
	lacks.SQL = []string{"DO " + dollarQuote(" DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = "+quoteText(name)+
		"\n    LOOP EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO "+strings.ReplaceAll(strings.ReplaceAll(to, "'", "''"), "%", "%%")+"', f); END LOOP; END ")}
	return lacks
}

// withheld finds the catalogue or function that was refused: the server's message names it, in
// whichever language it is. A name in quotes in the question is one of ours, for which it is
// not the server that has to be asked.
func (a answer) withheld() (name string, function bool) {
	if a.err.Code != insufficientPrivilege {
		return "", false
	}
	last := ""
	for _, word := range regexp.MustCompile(`[a-z_][a-z0-9_]*`).FindAllString(a.err.Message, -1) {
		switch {
		case strings.Contains(a.asked, word+"("):
			return word, true
		case strings.HasPrefix(word, "pg_"):
			return word, !regexp.MustCompile(`\b` + word + `\b`).MatchString(a.asked) // a view calls functions as who asks
		case strings.Contains(a.asked, quoteName(word)), strings.Contains(a.asked, quoteText(word)):
			return "", false
		}
		last = word
	}
	return last, last != "" // one that an operator calls
}
