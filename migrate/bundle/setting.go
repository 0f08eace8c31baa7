package bundle

import (
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/setting"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A settingProblem is a place where a file sets what it may not.
type settingProblem struct {
	offset  int
	message string
}

// settingProblems finds where a file sets what another one would be read by, takes a
// limit away, locks something for its session, or ends its transaction in a DO block: what can be seen of it, also in
// the bodies of its DO blocks. The guard after the file finds the rest of the settings.
func settingProblems(sql string) []settingProblem {
	lower := strings.ToLower(sql)
	if !slices.ContainsFunc([]string{"set", "commit", "rollback", "advisory"},
		func(w string) bool { return strings.Contains(lower, w) }) {
		return nil
	}
	var problems []settingProblem
	for _, tokens := range sqltext.Tokens(sql) {
		if len(tokens) == 0 {
			continue
		}
		problems = append(problems, settingsIn(tokens, 0)...)
		if tokens[0].Word != "DO" {
			continue
		}
		for _, t := range tokens {
			body, at := quoted(t.Text)
			if body == "" {
				continue
			}
			for _, inside := range sqltext.Tokens(body) {
				problems = append(problems, settingsIn(inside, t.Start+at)...)
			}
		}
	}
	return problems
}

// settingsIn looks at one statement, whose text begins at an offset of the file.
func settingsIn(tokens []sqltext.Token, offset int) []settingProblem {
	var problems []settingProblem
	word := func(i int) string {
		if i < len(tokens) && i >= 0 {
			return tokens[i].Word
		}
		return ""
	}
	add := func(at int, message string) {
		if message != "" {
			problems = append(problems, settingProblem{offset + tokens[at].Start, message})
		}
	}
	begins := func(i int) bool { // in PL/pgSQL a statement begins after these, too
		return i == 0 || slices.Contains([]string{"BEGIN", "THEN", "ELSE", "LOOP"}, word(i-1))
	}
	for i := range tokens {
		switch {
		case word(i) == "SET" && begins(i) && word(i+1) == "LOCAL":
			add(i, setLocal(tokens[i+2:]))
		case word(i) == "SET" && begins(i) && offset > 0 && word(i+1) != "CONSTRAINTS":
			add(i, "SET without LOCAL outlives the migration in a pooled session; write SET LOCAL")
		case (word(i) == "COMMIT" || word(i) == "ROLLBACK") && begins(i) && offset > 0 &&
			slices.Contains([]string{"", "AND", "WORK", "TRANSACTION"}, word(i+1)):
			add(i, word(i)+" in a DO block would end the file's transaction, which the server refuses; leave it out")
		case sessionLock(word(i)) && word(i+1) == "(":
			add(i, strings.ToLower(word(i))+" outlives the migration in a pooled session; write "+
				"pg_advisory_xact_lock, which ends with the file's transaction")
		case word(i) == "SET_CONFIG" && word(i+1) == "(":
			add(i, setConfig(tokens[i+1:]))
		}
	}
	return problems
}

// sessionLock reports whether a function takes or gives back an advisory lock of the session.
func sessionLock(word string) bool {
	return strings.HasPrefix(word, "PG_ADVISORY_LOCK") || strings.HasPrefix(word, "PG_TRY_ADVISORY_LOCK") ||
		strings.HasPrefix(word, "PG_ADVISORY_UNLOCK")
}

// setLocal says what is wrong with SET LOCAL and what follows it.
func setLocal(tokens []sqltext.Token) string {
	if len(tokens) == 0 {
		return ""
	}
	name, _ := tokens[0].Name() // one with a point is an extension's, which may be set
	return mayNotSet(name, tokens[len(tokens)-1])
}

// setConfig says what is wrong with a call, of which the tokens begin at its parenthesis.
func setConfig(tokens []sqltext.Token) string {
	var arguments []sqltext.Token
	for _, t := range tokens[1:] {
		if t.Depth <= tokens[0].Depth {
			break
		}
		if t.Depth == tokens[0].Depth+1 && t.Word != "," {
			arguments = append(arguments, t)
		}
	}
	for i, t := range arguments {
		text, _ := quoted(t.Text)
		no := t.Word == "FALSE" || i > 1 && slices.Contains([]string{"f", "false", "off", "no", "n", "0"},
			strings.ToLower(text))
		if no {
			return "set_config(…, false) outlives the migration in a pooled session; write true, or SET LOCAL"
		}
	}
	if len(arguments) < 2 {
		return ""
	}
	name, _ := quoted(arguments[0].Text)
	return mayNotSet(name, arguments[1])
}

// mayNotSet says why a file may not set a setting to a value; "" when it may.
func mayNotSet(name string, value sqltext.Token) string {
	name = strings.ToLower(name)
	switch name {
	case "names": // SET NAMES
		name = "client_encoding"
	case "role", "session", "session_authorization":
		return "what a file makes belongs to the role that migrates, which owns the schema; leave this out"
	}
	for _, p := range setting.Pins() {
		switch {
		case !strings.EqualFold(p.Name, name):
		case p.Local == "no" && p.ByBegin():
			return p.Name + " " + tooLate
		case p.Local == "no":
			return p.Name + " is " + p.File + " for each file, so that a file means the same on each server; " +
				"leave this out"
		case p.Local == "a limit" && limitless(value):
			return p.Name + " = 0 takes the limit away: " + p.Why + "; write a limit, such as '30s'"
		}
	}
	return ""
}

// limitless reports whether a value is no time at all, which means for ever.
func limitless(value sqltext.Token) bool {
	text, _ := quoted(value.Text)
	if text == "" {
		text = value.Text
	}
	number := strings.TrimRight(strings.ToLower(strings.TrimSpace(text)), "abcdefghijklmnopqrstuvwxyz ")
	return strings.EqualFold(text, "default") || number != "" && strings.Trim(number, "+-0.x") == ""
}

// quoted returns what a literal holds, and where in it that begins; "" when it is none.
func quoted(text string) (body string, at int) {
	switch {
	case strings.HasPrefix(text, "$"):
		tag := strings.Index(text[1:], "$") + 2
		if tag > 1 && len(text) >= 2*tag {
			return text[tag : len(text)-tag], tag
		}
	case strings.HasSuffix(text, "'") && strings.Contains(text[:len(text)-1], "'"):
		at = strings.Index(text, "'") + 1
		return text[at : len(text)-1], at
	}
	return "", 0
}
