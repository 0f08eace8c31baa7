package snapshot

import (
	"maps"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// view undoes what differs about a view.
func (p *proposer) view(c change) proposal {
	word, _, _ := strings.Cut(c.line(), " ")
	switch {
	case c.whole == ObjectExtra:
		return p.dropCode(c.object, stepDropView)
	case c.whole == ObjectMissing:
		return p.createView(c.object)
	case word == "":
		return p.replaceView(c)
	case word == "with":
		return p.options(c)
	case word == "trigger" || word == "rule":
		return p.attached(c, word)
	}
	want, got := readColumn(c.lacks), readColumn(c.has)
	if c.lacks == "" || c.has == "" || want.typeName != got.typeName {
		return instead("it comes with the query of the view")
	}
	var made proposal
	p.defaults(&made, p.alter(c)+"ALTER COLUMN "+want.name+" ", want, got)
	return made
}

// replaceView gives a view its query again. Where that changes columns, the view and those that read it are dropped
// and created again, without the privileges that were granted on them: a start grants the declared ones.
func (p *proposer) replaceView(c change) (made proposal) {
	var columns [2][]string
	for i, o := range []*Object{p.want[c.object], p.got[c.object]} {
		for _, line := range o.lines() {
			if strings.HasPrefix(line, "column ") {
				read := readColumn(line)
				columns[i] = append(columns[i], read.name+" "+read.typeName)
			}
		}
	}
	if len(columns[0]) >= len(columns[1]) && slices.Equal(columns[0][:len(columns[1])], columns[1]) {
		made = p.createView(c.object)
		made.statements = made.statements[:1]
		s := &made.statements[0]
		s.sql = "CREATE OR REPLACE" + strings.TrimPrefix(s.sql, "CREATE")
		return made
	}
	for _, object := range append(p.readers(c.object), c.object) {
		made.statements = append(made.statements, p.dropCode(object, stepDropView).statements...)
		if p.want[object] != nil {
			made.statements = append(made.statements, p.createView(object).statements...)
		}
	}
	return made
}

// readers are the views that read one, directly or through others.
func (p *proposer) readers(view string) (found []string) {
	for _, object := range slices.Sorted(maps.Keys(p.got)) {
		if object != view && strings.HasPrefix(object, "view ") && p.reaches(p.got, object, view, map[string]bool{}) {
			found = append(found, object)
		}
	}
	return found
}

// createView creates a view or a materialized view with all that belongs to it.
func (p *proposer) createView(object string) (made proposal) {
	o := p.want[object]
	kind, name := objectOf(object)
	c := change{object: object, kind: kind, name: name}
	create := "CREATE " + p.on(c) + withOptions(o) + " AS\n" + strings.TrimSuffix(o.body(), ";")
	made.add(stepView, p.place(p.want, object), create).inPath = true
	for _, line := range o.lines() {
		word, _, _ := strings.Cut(strings.TrimPrefix(line, "unique "), " ")
		switch {
		case word == "trigger" || word == "rule":
			p.attach(&made, object, line)
		case word == "column" && kind == "view" && readColumn(line).value != "":
			read := readColumn(line)
			p.defaults(&made, p.alter(c)+"ALTER COLUMN "+read.name+" ", read, column{})
			made.statements[len(made.statements)-1].step = stepUse
		case word == "index":
			c.lacks = line
			for _, s := range p.index(c).statements {
				s.step = stepUse // after the view
				made.statements = append(made.statements, s)
			}
		}
	}
	return made
}

// withOptions are the options with which a view is created.
func withOptions(o *Object) string {
	var options []string
	for _, option := range optionsOf("with (" + o.fact("with (")) {
		if option[0] != "" && !strings.HasPrefix(option[0], "toast.") {
			options = append(options, option[0]+" = '"+option[1]+"'")
		}
	}
	if len(options) == 0 {
		return ""
	}
	return " WITH (" + strings.Join(options, ", ") + ")"
}

// dropCode drops a view, a function or a type, after what uses it.
func (p *proposer) dropCode(object string, step int) (made proposal) {
	kind, name := objectOf(object)
	switch kind {
	case "enum", "composite type", "range type":
		kind = "type"
	}
	sql := "DROP " + strings.ToUpper(kind) + " " + p.schema + "." + name
	made.add(step, -p.place(p.got, object), sql).inPath = strings.Contains(name, "(") && !strings.HasSuffix(name, "()")
	return made
}

// routine creates a function or a procedure as it should be, in place of the one that is there.
func (p *proposer) routine(c change) (made proposal) {
	if c.whole == ObjectExtra {
		return p.dropCode(c.object, stepDropCode)
	}
	want, got := p.want[c.object], p.got[c.object]
	create, why := p.createRoutine(c, want)
	if why != "" {
		return instead(why)
	}
	step := stepCode
	if isDeparsed(want) && len(p.viewsIn(want)) > 0 {
		step = stepView // it depends on views
	}
	// names of arguments, defaults and results can only be changed by creating it again
	if got != nil && (got.fact("arguments") != want.fact("arguments") || got.fact("returns") != want.fact("returns")) {
		made = p.dropCode(c.object, stepDropCode)
	} else if got != nil {
		create = "CREATE OR REPLACE" + strings.TrimPrefix(create, "CREATE")
	}
	made.add(step, p.place(p.want, c.object), create).inPath = true
	return made
}

// viewsIn are the views that the body of a function names.
func (p *proposer) viewsIn(o *Object) (views []string) {
	for _, t := range tokens(o.body()) {
		if p.want["view "+t.text] != nil {
			views = append(views, t.text)
		}
	}
	return views
}

// createRoutine is what creates a function or a procedure.
func (p *proposer) createRoutine(c change, want *Object) (sql, why string) {
	language := want.fact("language ")
	switch {
	case language == "c" || language == "internal":
		return "", "only a superuser can create a function in the language " + language
	case want.Facts["leakproof"], want.fact("support ") != "":
		return "", "only a superuser can create a leakproof function, or one with a support function"
	}
	name := together(tokens(c.name)[:1]) // without the types of its arguments
	parts := []string{"CREATE " + strings.ToUpper(c.kind) + " " + p.schema + "." + name +
		"(" + want.fact("arguments ") + ")"}
	for _, line := range want.lines() {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "arguments":
		case "set":
			parts = append(parts, p.routineSetting(rest))
		case "transform":
			types := strings.TrimPrefix(rest, "for ")
			parts = append(parts, "TRANSFORM FOR TYPE "+strings.ReplaceAll(types, ", ", ", FOR TYPE "))
		case "returns", "language", "cost", "rows", "parallel":
			parts = append(parts, strings.ToUpper(word)+" "+rest)
		default:
			parts = append(parts, strings.ToUpper(line))
		}
	}
	body := want.body()
	if !isDeparsed(want) {
		body = "AS " + sqltext.DollarQuote(body)
	}
	return strings.Join(append(parts, body), " "), ""
}

// isDeparsed reports whether the body of a function is not a string: RETURN …, or BEGIN ATOMIC … END.
func isDeparsed(o *Object) bool {
	body := o.body()
	return o.Facts["language sql"] && (strings.HasPrefix(body, "RETURN ") || strings.HasPrefix(body, "BEGIN ATOMIC"))
}

// routineSetting is what a function sets, as it was typed.
func (p *proposer) routineSetting(line string) string {
	name, value, _ := strings.Cut(line, " = ")
	switch {
	case name == "search_path" && value == `"$own"`:
		value = p.schema + ", pg_temp"
	case name == "search_path" && value == "":
		value = "''"
	case slices.Contains([]string{
		"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries",
	}, strings.ToLower(name)): // lists of names
	default:
		value = "'" + strings.ReplaceAll(value, "'", "''") + "'"
	}
	return "SET " + name + " = " + value
}

// kind undoes what differs about a type.
func (p *proposer) kind(c change) (made proposal) {
	on := "TYPE " + p.schema + "." + c.name
	word, _, _ := strings.Cut(c.line(), " ")
	switch {
	case c.whole == ObjectExtra:
		return p.dropCode(c.object, stepDropCode)
	case c.whole == ObjectMissing:
		return p.createKind(c)
	case c.kind == "domain" && word == "constraint":
		return p.constraint(c)
	case c.kind == "domain":
		return p.domain(c)
	case c.kind == "enum":
		return enumValues(c, on)
	case c.kind == "composite type" && c.has == "":
		add := "ALTER " + on + " ADD ATTRIBUTE " + strings.TrimPrefix(c.lacks, "attribute ")
		made.add(stepCode, p.place(p.want, c.object), add).inPath = true
		return made
	case c.kind == "composite type":
		return instead("dropping it, or giving it another type, could lose values of tables")
	}
	return instead("columns may have the type")
}

// domain sets what a domain adds to its type.
func (p *proposer) domain(c change) (made proposal) {
	want, got := readColumn("x "+c.lacks), readColumn("x "+c.has)
	alter := p.alter(c)
	if want.typeName != got.typeName {
		return instead("columns may have the type")
	}
	p.defaults(&made, alter, want, got)
	switch {
	case want.notNull && !got.notNull:
		made.add(stepColumn, 0, alter+"SET NOT NULL")
	case got.notNull && !want.notNull:
		made.add(stepDrop, 0, alter+"DROP NOT NULL")
	}
	return made
}

// enumValues adds those that are missing.
func enumValues(c change, on string) (made proposal) {
	want, got := listOf(strings.TrimPrefix(c.lacks, "values ")), listOf(strings.TrimPrefix(c.has, "values "))
	next := 0
	for i, value := range want {
		switch {
		case next < len(got) && got[next] == value:
			next++
		case i == 0 && len(got) > 0:
			made.add(stepEnum, 0, "ALTER "+on+" ADD VALUE "+value+" BEFORE "+got[0])
		case i == 0:
			made.add(stepEnum, 0, "ALTER "+on+" ADD VALUE "+value)
		default:
			made.add(stepEnum, 0, "ALTER "+on+" ADD VALUE "+value+" AFTER "+want[i-1])
		}
	}
	if next < len(got) {
		return instead("PostgreSQL cannot remove or move a value, and rows may have it")
	}
	return made
}

// listOf cuts a list of string literals up.
func listOf(s string) (values []string) {
	for s != "" {
		n := quotedLength(s)
		if s[0] != '\'' || n == 0 {
			return values
		}
		values, s = append(values, s[:n]), strings.TrimPrefix(s[n:], ", ")
	}
	return values
}

// createKind creates a type.
func (p *proposer) createKind(c change) (made proposal) {
	o, place := p.want[c.object], p.place(p.want, c.object)
	name := p.schema + "." + c.name
	var sql string
	switch c.kind {
	case "enum":
		sql = "CREATE TYPE " + name + " AS ENUM (" + o.fact("values ") + ")"
	case "composite type":
		var attributes []string
		for _, line := range o.lines() {
			attributes = append(attributes, strings.TrimPrefix(line, "attribute "))
		}
		sql = "CREATE TYPE " + name + " AS (" + strings.Join(attributes, ", ") + ")"
	case "domain":
		sql = "CREATE DOMAIN " + name + " AS " + strings.Join(o.lines(), " ")
	default:
		return instead("what its functions are has to be chosen")
	}
	made.add(stepCode, place, sql).inPath = true
	return made
}

// place is how many views, functions or types an object depends on, one through another.
func (p *proposer) place(all map[string]*Object, object string) int {
	seen := map[string]bool{}
	p.reaches(all, object, "", seen)
	return len(seen)
}

// reaches reports whether a view, a function or a type names another one, or one that does; seen gets those on the
// way.
func (p *proposer) reaches(all map[string]*Object, object, other string, seen map[string]bool) bool {
	if seen[object] {
		return false
	}
	seen[object] = true
	o := all[object]
	text := strings.Join(o.lines(), " ")
	if kind, _ := objectOf(object); kind != "function" && kind != "procedure" || isDeparsed(o) {
		text += " " + o.body()
	}
	for _, t := range tokens(text) {
		for _, found := range p.named(all, t.name()) {
			if found == other || p.reaches(all, found, other, seen) {
				return true
			}
		}
	}
	return false
}

// named are the views, functions and types of a name.
func (p *proposer) named(all map[string]*Object, name string) (found []string) {
	if name == "" {
		return nil
	}
	for object := range all {
		switch kind, written := objectOf(object); kind {
		case "view", "materialized view", "function", "procedure", "domain", "enum", "composite type", "range type":
			if len(tokens(written)) > 0 && tokens(written)[0].name() == name {
				found = append(found, object)
			}
		}
	}
	return found
}
