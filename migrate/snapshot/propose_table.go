package snapshot

import (
	"regexp"
	"slices"
	"strings"
)

// relation undoes what differs about a table or a materialized view.
func (p *proposer) relation(c change) proposal {
	switch {
	case c.whole == ObjectExtra:
		return instead("dropping it would lose its rows")
	case c.whole == ObjectMissing && c.kind == "materialized view":
		return p.createView(c.object)
	case c.whole == ObjectMissing:
		return instead("its rows are lost; a backup has them")
	case c.lacks == "" && c.has == "":
		return instead("only dropping it could change its query, and with it what it holds")
	}
	word, _, _ := strings.Cut(strings.TrimPrefix(c.line(), "unique "), " ")
	switch word {
	case "column":
		return p.column(c)
	case "constraint":
		return p.constraint(c)
	case "index":
		return p.index(c)
	case "policy", "trigger", "rule":
		return p.attached(c, word)
	case "with":
		return p.options(c)
	case "partition", "inherits":
		return p.inheritance(c, word)
	}
	return p.setting(c)
}

// line is one of the change's lines.
func (c change) line() string {
	if c.lacks != "" {
		return c.lacks
	}
	return c.has
}

func (p *proposer) on(c change) string {
	return strings.ToUpper(c.kind) + " " + p.schema + "." + c.name
}
func (p *proposer) alter(c change) string { return "ALTER " + p.on(c) + " " }

// setting undoes what is switched on or off.
func (p *proposer) setting(c change) proposal {
	off := map[string]string{
		"unlogged": "SET LOGGED", "row security enabled": "DISABLE ROW LEVEL SECURITY",
		"row security forced": "NO FORCE ROW LEVEL SECURITY",
	}
	on := map[string]string{
		"row security enabled": "ENABLE ROW LEVEL SECURITY", "row security forced": "FORCE ROW LEVEL SECURITY",
	}
	word, rest, _ := strings.Cut(c.line(), " ")
	var made proposal
	switch {
	case word == "replica":
		identity := strings.TrimPrefix(c.lacks, "replica identity ")
		if identity == "" {
			identity = "default"
		}
		made.add(stepUse, 0, p.alter(c)+"REPLICA IDENTITY "+identity)
	case word == "of" && c.lacks != "":
		made.add(stepPart, 0, p.alter(c)+"OF "+rest).inPath = true
	case word == "of":
		made.add(stepDrop, 0, p.alter(c)+"NOT OF")
	case word == "comment":
		made.add(stepUse, 0, "COMMENT ON "+p.on(c)+" IS "+rest)
	case c.lacks == "" && off[c.has] != "":
		made.add(stepUse, 0, p.alter(c)+off[c.has])
	case c.has == "" && on[c.lacks] != "":
		made.add(stepUse, 0, p.alter(c)+on[c.lacks])
	case word == "unlogged":
		return instead("after a crash of the server an unlogged table is empty")
	case word == "partitioned":
		return instead("a table is partitioned when it is created, or not at all")
	case word == "referenced", word == "inherited":
		return instead("the other table belongs to another schema")
	case word == "server":
		return instead("it decides where the rows are")
	}
	return made
}

// options sets what was reset, and resets what was set.
func (p *proposer) options(c change) proposal {
	want, got := optionsOf(c.lacks), optionsOf(c.has)
	var set, reset []string
	for _, o := range got {
		if !slices.ContainsFunc(want, func(w [2]string) bool { return w[0] == o[0] }) {
			reset = append(reset, o[0])
		}
	}
	for _, o := range want {
		if !slices.Contains(got, o) {
			set = append(set, o[0]+" = '"+strings.ReplaceAll(o[1], "'", "''")+"'")
		}
	}
	var made proposal
	if len(reset) > 0 {
		made.add(stepUse, 0, p.alter(c)+"RESET ("+strings.Join(reset, ", ")+")")
	}
	if len(set) > 0 {
		made.add(stepUse, 0, p.alter(c)+"SET ("+strings.Join(set, ", ")+")")
	}
	return made
}

// optionsOf reads with (a=1, b=2).
func optionsOf(line string) (options [][2]string) {
	list, found := strings.CutPrefix(line, "with (")
	if !found {
		return nil
	}
	for option := range strings.SplitSeq(strings.TrimSuffix(list, ")"), ", ") {
		name, value, _ := strings.Cut(option, "=")
		options = append(options, [2]string{name, value})
	}
	return options
}

// inheritance attaches a table to its parents, or detaches it: its rows stay.
func (p *proposer) inheritance(c change, word string) proposal {
	var made proposal
	sql := func(line string, step int, forPartition func(parent, bound string) string, otherwise string) {
		if line == "" {
			return
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(line, "inherits "), "partition of ")
		if word == "partition" {
			made.add(step, 0, forPartition(qualifiedName(rest))).inPath = true
			return
		}
		made.add(step, 0, p.alter(c)+otherwise+" "+rest).inPath = true
	}
	sql(c.has, stepDrop, func(parent, _ string) string {
		return "ALTER TABLE " + parent + " DETACH PARTITION " + p.schema + "." + c.name
	}, "NO INHERIT")
	sql(c.lacks, stepPart, func(parent, bound string) string {
		return "ALTER TABLE " + parent + " ATTACH PARTITION " + p.schema + "." + c.name + " " + bound
	}, "INHERIT")
	return made
}

// qualifiedName cuts a name, which may name its schema, off the front of a text.
func qualifiedName(s string) (name, rest string) {
	all := tokens(s)
	n := 1
	for is(all, n, ".") && n+1 < len(all) {
		n += 2
	}
	n = min(n, len(all))
	return together(all[:n]), strings.TrimPrefix(together(all[n:]), " ")
}

// parents are the tables that one inherits from, or is a partition of.
func parents(o *Object) (names []string) {
	for _, line := range o.lines() {
		for _, start := range []string{"inherits ", "partition of "} {
			if rest, is := strings.CutPrefix(line, start); is {
				name, _ := qualifiedName(rest)
				names = append(names, "table "+name)
			}
		}
	}
	return names
}

// depth is how many generations of parents an object has: what a parent loses or gets, its children do, too.
func (p *proposer) depth(object string) int {
	depth := 0
	for _, parent := range parents(p.either(object)) {
		if parent != object {
			depth = max(depth, 1+p.depth(parent))
		}
	}
	return depth
}

// either is an object as it should be or, when there is none such, as it is.
func (p *proposer) either(object string) *Object {
	if o := p.want[object]; o != nil {
		return o
	}
	return p.got[object]
}

// follows reports whether a table has a line from its parent, as it should be or as it is, and gets or loses it with
// that.
func (p *proposer) follows(c change, same func(line string) bool) bool {
	all := slices.Concat(parents(p.want[c.object]), parents(p.got[c.object]))
	return slices.ContainsFunc(all, func(parent string) bool {
		return slices.ContainsFunc(slices.Concat(p.want[parent].lines(), p.got[parent].lines()), same)
	})
}

// withParent says so.
func withParent() proposal { return instead("it comes and goes with that of its parent") }

// constraint adds one that is missing, and drops one that is there instead.
func (p *proposer) constraint(c change) proposal {
	part, definition := firstName(strings.TrimPrefix(c.line(), "constraint "))
	if p.follows(c, func(line string) bool {
		return strings.HasPrefix(line, "constraint ") && strings.HasSuffix(line, " "+definition)
	}) {
		return withParent()
	}
	var made proposal
	key := strings.HasPrefix(definition, "FOREIGN KEY ")
	switch {
	case strings.HasSuffix(c.lacks, " disabled"):
		return instead("only a superuser can disable a constraint")
	case c.lacks != "" && c.has == c.lacks+" NOT VALID":
		made.add(stepKey, 0, p.alter(c)+"VALIDATE CONSTRAINT "+part)
		return made
	}
	if c.has != "" {
		made.add(choose(key, stepDropKey, stepDrop), p.depth(c.object), p.alter(c)+"DROP CONSTRAINT "+part)
	}
	if c.lacks != "" {
		made.add(choose(key, stepKey, stepIndex), p.depth(c.object), p.alter(c)+"ADD CONSTRAINT "+part+" "+definition).
			inPath = p.needsPath(c.object, definition)
	}
	return made
}

func choose(yes bool, a, b int) int {
	if yes {
		return a
	}
	return b
}

// index creates one that is missing, and drops one that is there instead. What it is used for by others, such as
// a foreign key, keeps it from being dropped.
func (p *proposer) index(c change) proposal {
	part, definition := firstName(strings.TrimPrefix(strings.TrimPrefix(c.line(), "unique "), "index "))
	name := p.schema + "." + part
	if p.isConstraint(c.object, part) {
		return p.constraintIndex(c, name, part)
	}
	var made proposal
	plain := strings.TrimSuffix(strings.TrimSuffix(c.lacks, " clustered"), " invalid")
	if c.has != "" && plain != strings.TrimSuffix(c.has, " clustered") {
		if c.lacks == "" && p.follows(c, func(line string) bool {
			return strings.Contains(line, "index ") && strings.HasSuffix(line, " "+definition)
		}) {
			return withParent()
		}
		made.add(stepDrop, p.depth(c.object), "DROP INDEX "+name)
	}
	if c.lacks != "" && plain != strings.TrimSuffix(c.has, " clustered") {
		_, definition = firstName(strings.TrimPrefix(strings.TrimPrefix(plain, "unique "), "index "))
		create := "CREATE INDEX "
		if strings.HasPrefix(c.lacks, "unique ") {
			create = "CREATE UNIQUE INDEX "
		}
		// those of partitions first: the parent's takes them over
		made.add(stepIndex, -p.depth(c.object), create+part+" ON "+p.schema+"."+c.name+" USING "+definition).
			inPath = p.needsPath(c.object, definition)
	}
	p.cluster(&made, c, part)
	return made
}

// cluster marks the index by which a table was clustered, or unmarks it.
func (p *proposer) cluster(made *proposal, c change, index string) {
	want, got := strings.HasSuffix(c.lacks, " clustered"), strings.HasSuffix(c.has, " clustered")
	switch {
	case want && !got:
		made.add(stepUse, 0, p.alter(c)+"CLUSTER ON "+index)
	case got && !want:
		made.add(stepDrop, -1, p.alter(c)+"SET WITHOUT CLUSTER")
	}
}

// isConstraint reports whether an index is that of a constraint.
func (p *proposer) isConstraint(object, index string) bool {
	return slices.ContainsFunc(slices.Concat(p.want[object].lines(), p.got[object].lines()), func(line string) bool {
		return strings.HasPrefix(line, "constraint "+index+" ")
	})
}

var withOfIndex = regexp.MustCompile(` WITH \(([^)]*)\)`)

// constraintIndex undoes what is odd about the index of a constraint, which comes and goes with that.
func (p *proposer) constraintIndex(c change, name, part string) proposal {
	var made proposal
	if strings.Contains(c.has, " invalid") {
		made.add(stepIndex, 1, "REINDEX INDEX "+name)
	}
	options := func(line string) string {
		if found := withOfIndex.FindStringSubmatch(line); found != nil {
			return "with (" + strings.ReplaceAll(found[1], "'", "") + ")"
		}
		return ""
	}
	ofIndex := change{kind: "index", name: part, lacks: options(c.lacks), has: options(c.has)}
	made.statements = append(made.statements, p.options(ofIndex).statements...)
	p.cluster(&made, c, part)
	if len(made.statements) == 0 {
		return instead("it comes and goes with its constraint")
	}
	return made
}

// attached creates a policy, a trigger or a rule again, and drops one that is there instead.
func (p *proposer) attached(c change, word string) proposal {
	part, _ := firstName(strings.TrimPrefix(c.line(), word+" "))
	wanted, on := cutEnabled(c.lacks)
	found, _ := cutEnabled(c.has)
	kind := strings.ToUpper(word)
	var made proposal
	switch {
	case c.lacks != "" && c.has != "" && wanted == found:
		made.add(stepUse, 1, "ALTER TABLE "+p.schema+"."+c.name+" "+on+" "+kind+" "+part)
		return made
	case word == "trigger" && p.follows(c, func(line string) bool {
		return strings.HasPrefix(line, "trigger "+part+" ") && strings.Contains(line, " FOR EACH ROW ")
	}):
		return withParent()
	}
	if c.has != "" {
		made.add(stepDropUse, 0, "DROP "+kind+" "+part+" ON "+p.schema+"."+c.name)
	}
	if c.lacks != "" {
		p.attach(&made, c.object, c.lacks)
	}
	return made
}

// attach creates a policy, a trigger or a rule from its line.
func (p *proposer) attach(made *proposal, object, line string) {
	line, on := cutEnabled(line)
	word, rest, _ := strings.Cut(line, " ")
	part, definition := firstName(rest)
	_, name := objectOf(object)
	table := p.schema + "." + name
	var sql string
	switch word {
	case "policy":
		if rest, restrictive := strings.CutPrefix(definition, "restrictive "); restrictive {
			definition = "AS RESTRICTIVE " + rest
		}
		sql = "CREATE POLICY " + part + " ON " + table + " " + definition
	case "trigger":
		sql = "CREATE TRIGGER " + part + " " + definition
		if strings.Contains(definition, "DEFERRABLE INITIALLY ") { // the server writes it of each constraint trigger
			sql = "CREATE CONSTRAINT TRIGGER " + part + " " + definition
		}
	case "rule":
		sql = "CREATE RULE " + part + " " + strings.TrimSuffix(definition, ";")
	}
	made.add(stepUse, 0, sql).inPath = true
	if on != enabled {
		made.add(stepUse, 1, "ALTER TABLE "+table+" "+on+" "+strings.ToUpper(word)+" "+part)
	}
}

const enabled = "ENABLE"

// cutEnabled takes off what a snapshot says of a trigger or a rule that is not enabled as usual.
func cutEnabled(line string) (rest, alter string) {
	for suffix, alter := range map[string]string{
		" disabled": "DISABLE", " enabled always": "ENABLE ALWAYS", " enabled on replicas": "ENABLE REPLICA",
	} {
		if rest, cut := strings.CutSuffix(line, suffix); cut {
			return rest, alter
		}
	}
	return line, enabled
}

// statistics creates extended statistics again; ANALYZE fills them.
func (p *proposer) statistics(c change) proposal {
	var made proposal
	name := p.schema + "." + c.name
	target := regexp.MustCompile(` statistics (-?\d+)$`)
	want, got := target.ReplaceAllString(c.lacks, ""), target.ReplaceAllString(c.has, "")
	if c.whole == ObjectMissing {
		want = target.ReplaceAllString(p.want[c.object].lines()[0], "")
	}
	if c.whole == ObjectExtra || want != got && got != "" {
		made.add(stepDrop, 0, "DROP STATISTICS "+name)
	}
	if want != got && c.whole != ObjectExtra {
		made.add(stepIndex, 0, "CREATE STATISTICS "+name+" "+want).inPath = true
	}
	wanted := c.lacks
	if c.whole == ObjectMissing {
		wanted = p.want[c.object].lines()[0]
	}
	if found := target.FindStringSubmatch(wanted); found != nil {
		made.add(stepUse, 0, "ALTER STATISTICS "+name+" SET STATISTICS "+found[1])
	} else if want == got && c.whole == "" {
		made.add(stepUse, 0, "ALTER STATISTICS "+name+" SET STATISTICS -1")
	}
	return made
}

// sequence sets a sequence as it should be; its value stays.
func (p *proposer) sequence(c change) proposal {
	var made proposal
	on := p.alter(c)
	settings := func(line string) string {
		return strings.NewReplacer(" minimum ", " MINVALUE ", " maximum ", " MAXVALUE ", " start ", " START ",
			" increment ", " INCREMENT ", " cache ", " CACHE ", " cycle", "").Replace(line)
	}
	belongs := strings.HasPrefix(c.line(), "owned by ") || strings.HasPrefix(c.line(), "identity of ")
	switch {
	case c.whole == ObjectExtra:
		return instead("dropping it would lose its value")
	case c.whole == ObjectMissing:
		return instead("its value is lost; create it with a START after the greatest value in use")
	case strings.HasPrefix(c.lacks, "identity of "):
		return instead("a column gets an identity with a sequence of its own")
	case belongs && c.lacks != "":
		made.add(stepUse, 0, on+"OWNED BY "+p.schema+"."+strings.TrimPrefix(c.lacks, "owned by "))
	case strings.HasPrefix(c.has, "identity of "):
		return instead("it goes with the identity of its column")
	case belongs:
		made.add(stepUse, 0, on+"OWNED BY NONE")
	default:
		cycle := " NO CYCLE"
		if strings.HasSuffix(c.lacks, " cycle") {
			cycle = " CYCLE"
		}
		made.add(stepUse, 0, on+"AS "+settings(c.lacks)+cycle)
	}
	return made
}
