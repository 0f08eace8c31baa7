package migrate

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// withUndo gives each difference the SQL that takes it back, as far as one line of a snapshot
// tells it. Snapshots leave the schema's name out, so what is made again is made with the
// schema in the search path.
func (m *Migrator) withUndo(drift []snapshot.Difference, version int) []snapshot.Difference {
	for i, d := range drift {
		drift[i].SQL = m.undo(d, version)
		changed := i > 0 && drift[i-1].Object == d.Object && drift[i-1].Change == snapshot.LineMissing &&
			d.Change == snapshot.LineExtra &&
			snapshot.Subject(drift[i-1].Line) == snapshot.Subject(d.Line)
		if changed && drift[i-1].SQL != "" && d.Line != "" { // both lines are one change
			drift[i-1].SQL, drift[i].SQL = m.replace(drift[i-1], d, version), ""
		}
		if i > 0 && drift[i-1].Object == d.Object && strings.HasPrefix(drift[i].SQL, "--") &&
			drift[i].SQL == drift[i-1].SQL {
			drift[i-1].SQL = "" // a function is defined once for all that differs
		}
	}
	return drift
}

// replace takes back a line that is there instead of another one.
func (m *Migrator) replace(lacks, has snapshot.Difference, version int) string {
	gone, again := m.undo(has, version), m.undo(lacks, version)
	if strings.HasPrefix(again, "--") {
		return again
	}
	return strings.Join([]string{gone, again}, "; ")
}

// undo is the SQL for one difference, "" where a line does not tell it.
func (m *Migrator) undo(d snapshot.Difference, version int) string {
	kind, name := objectOf(d.Object)
	object := sqltext.QuoteName(m.Schema) + "." + name
	switch {
	case kind == "function" || kind == "procedure" || kind == "view" &&
		(d.Change == snapshot.BodyChanged || d.Change == snapshot.ObjectMissing):
		if d.Change == snapshot.ObjectExtra {
			return "DROP " + strings.ToUpper(kind) + " " + object
		}
		return m.definedIn(kind, name, version)
	case d.Line == "":
		return ""
	}
	about, rest, _ := strings.Cut(d.Line, " ")
	part, definition := firstName(rest)
	on := strings.ToUpper(kind) + " " + object
	if d.Change == snapshot.LineMissing {
		return m.remake(about, part, definition, d.Line, on, object)
	}
	switch {
	case about == "policy", about == "trigger", about == "rule":
		return "DROP " + strings.ToUpper(about) + " " + part + " ON " + object
	case about == "constraint":
		return "ALTER " + on + " DROP CONSTRAINT " + part
	case about == "index":
		return "DROP INDEX " + sqltext.QuoteName(m.Schema) + "." + part
	case strings.HasPrefix(d.Line, "unique index "):
		part, _ = firstName(strings.TrimPrefix(d.Line, "unique index "))
		return "DROP INDEX " + sqltext.QuoteName(m.Schema) + "." + part
	case d.Line == "row security enabled":
		return "ALTER " + on + " DISABLE ROW LEVEL SECURITY"
	case d.Line == "row security forced":
		return "ALTER " + on + " NO FORCE ROW LEVEL SECURITY"
	case about == "with":
		return "ALTER " + on + " RESET (" + regexp.MustCompile(`=[^,)]*`).ReplaceAllString(strings.TrimPrefix(rest,
			"("), "")
	}
	return ""
}

// remake makes a line again that is missing.
func (m *Migrator) remake(about, part, definition, line, on, object string) string {
	inSchema := func(sql string) string {
		return "SET search_path = " + sqltext.QuoteName(m.Schema) + "; " + sql + "; RESET search_path"
	}
	switch {
	case about == "policy":
		as := ""
		if rest, restrictive := strings.CutPrefix(definition, "restrictive "); restrictive {
			as, definition = "AS RESTRICTIVE ", rest
		}
		return inSchema("CREATE POLICY " + part + " ON " + object + " " + as + definition)
	case about == "trigger":
		definition, enabled := cutEnabled(definition)
		constraint := ""
		if strings.Contains(definition, "DEFERRABLE INITIALLY ") { // what the server writes of each of them
			constraint = "CONSTRAINT "
		}
		sql := "CREATE " + constraint + "TRIGGER " + part + " " + definition
		if enabled != "" {
			sql += "; ALTER " + on + " " + enabled + " TRIGGER " + part
		}
		return inSchema(sql)
	case about == "constraint" && !strings.HasSuffix(definition, " disabled"):
		return inSchema("ALTER " + on + " ADD CONSTRAINT " + part + " " + definition)
	case line == "row security enabled":
		return "ALTER " + on + " ENABLE ROW LEVEL SECURITY"
	case line == "row security forced":
		return "ALTER " + on + " FORCE ROW LEVEL SECURITY"
	case about == "with" && !strings.Contains(line, "toast."):
		return "ALTER " + on + " SET " + strings.TrimPrefix(line, "with ")
	}
	return ""
}

// cutEnabled takes off what a snapshot says of a trigger that is not switched on as usual.
func cutEnabled(definition string) (rest, alter string) {
	for suffix, alter := range map[string]string{
		" disabled": "DISABLE", " enabled always": "ENABLE ALWAYS",
		" enabled on replicas": "ENABLE REPLICA",
	} {
		if rest, cut := strings.CutSuffix(definition, suffix); cut {
			return rest, alter
		}
	}
	return definition, ""
}

// definedIn names the last file that defines a function, a procedure or a view.
func (m *Migrator) definedIn(kind, name string, version int) string {
	bare, _, _ := strings.Cut(name, "(")
	defines := regexp.MustCompile(`(?i)\bCREATE\s+(OR\s+REPLACE\s+)?` + kind + `\s+("?\w+"?\.)?` +
		regexp.QuoteMeta(bare) + `[\s(]`)
	for i := min(version, m.Bundle.Version()); i >= 1; i-- {
		file := m.Bundle.Migration(i)
		if found := defines.FindStringIndex(file.SQL); found != nil {
			line := 1 + strings.Count(file.SQL[:found[0]], "\n")
			return fmt.Sprintf("-- as the owner of the schema, run CREATE OR REPLACE %s %s.%s as in %s, line %d",
				strings.ToUpper(kind), sqltext.QuoteName(m.Schema), bare, file.File, line)
		}
	}
	return ""
}

// objectOf takes the name of an object in a snapshot apart.
func objectOf(object string) (kind, name string) {
	for _, kind := range []string{"materialized view", "foreign table", "composite type", "range type"} {
		if name, ok := strings.CutPrefix(object, kind+" "); ok {
			return kind, name
		}
	}
	kind, name, _ = strings.Cut(object, " ")
	return kind, name
}

// firstName cuts a name, as SQL writes it, off the front of a line.
func firstName(s string) (name, rest string) {
	if !strings.HasPrefix(s, `"`) {
		name, rest, _ = strings.Cut(s, " ")
		return name, rest
	}
	if end := sqltext.QuotedEnd(s); end > 0 {
		return s[:end], strings.TrimPrefix(s[end:], " ")
	}
	return s, ""
}
