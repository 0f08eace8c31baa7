package review

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// partition judges that a table becomes a partition, with what CREATE TABLE … PARTITION OF or
// ATTACH PARTITION says behind its name.
func (r *review) partition(parent, n name, p phrase) {
	t, part := r.made.table(parent), r.made.table(n)
	key := t.key
	bound := p.find("FOR", "VALUES")
	at := n.at
	switch {
	case !r.oldTable(n):
	case bound == nil && part.leaves(t), bound != nil && !part.fits(key, bound):
		r.breaks(ruleAttach, at, "ATTACH PARTITION reads all of %s while nobody can use it; before it, ADD "+
			"CONSTRAINT … CHECK (what FOR VALUES says, and that the key IS NOT NULL) NOT VALID to %s, "+
			"and VALIDATE CONSTRAINT in the next file; drop the check after it", n, n)
	}
	rest := name{parent.schema, t.rest, at}
	if t.rest != "" && bound != nil && r.oldTable(rest) && !r.made.table(rest).excludes(key, bound) {
		r.breaks(ruleAttach, at, "a new partition of %s reads all of the default partition %s while nobody can use "+
			"it; before it, ADD CONSTRAINT … CHECK (that no row is one for the new partition) NOT VALID to %s, "+
			"and VALIDATE CONSTRAINT in the next file; drop the check after it", parent, rest, rest)
	}
	r.locks(n, "ATTACH PARTITION", useIt)
	r.locks(rest, "a new partition", useIt)
	if r.oldTable(n) {
		r.inherits(t, part, n)
	}
	t.partitions = append(t.partitions, n.name)
	t.bounds[n.name] = bound
	if bound == nil {
		t.rest = n.name
	}
}

// inherits says what is built or checked because the other partitions have it.
func (r *review) inherits(t, part *table, n name) {
	for _, i := range t.indexes {
		if !slices.ContainsFunc(part.indexes,
			func(have index) bool { return have.same == i.same && (have.unique || !i.unique) }) {
			r.breaks(ruleAttach, n.at, "ATTACH PARTITION builds index %s of %s while nobody can use it; make the "+
				"same one before, with CREATE INDEX CONCURRENTLY in a file of its own with -- migrate:no-transaction",
				i.name, n)
			return
		}
	}
	for _, k := range t.keys {
		if !slices.ContainsFunc(part.keys, func(have foreignKey) bool {
			return slices.Equal(have.columns,
				k.columns)
		}) {
			r.breaks(ruleAttach, n.at, "ATTACH PARTITION reads all of %s for foreign key %s while nobody can use "+
				"it; before it, add the same one to %s as NOT VALID, and VALIDATE CONSTRAINT in the next file", n,
				k.name, n)
			return
		}
	}
}

// leaves reports whether a default partition may hold rows that are another partition's.
func (t *table) leaves(parent *table) bool {
	return slices.ContainsFunc(parent.partitions,
		func(s string) bool { return !t.excludes(parent.key, parent.bounds[s]) })
}

// limits reads FOR VALUES FROM (…) TO (…) of one column.
func (p phrase) limits() (from, to string) {
	if p.accept("FOR", "VALUES", "FROM") {
		from = p.group().text()
		p.accept("TO")
		to = p.group().text()
	}
	return from, to
}

// fits reports whether validated checks say what the bound does.
func (t *table) fits(key string, bound phrase) bool {
	if !t.proven(key) {
		return false
	}
	if from, to := bound.limits(); from != "" {
		return (from == "minvalue" || t.within(key+" >= ", from, false)) &&
			(to == "maxvalue" || t.within(key+" < ", to, true))
	}
	if !bound.accept("FOR", "VALUES", "IN") {
		return false
	}
	var values []string
	for _, item := range bound.group().list() {
		values = append(values, item.text())
	}
	for _, said := range t.said() {
		list, one := strings.CutPrefix(said, key+" = ")
		if inner, ok := strings.CutPrefix(said, key+" in("); ok {
			list, one = strings.TrimSuffix(inner, ")"), true
		}
		if one && !slices.ContainsFunc(strings.Split(list, ", "),
			func(v string) bool { return !slices.Contains(values, v) }) {
			return true
		}
	}
	return false
}

// excludes reports whether a validated check says that no row is within the bound.
func (t *table) excludes(key string, bound phrase) bool {
	from, to := bound.limits()
	return from != "" && (t.within(key+" < ", from, true) || t.within(key+" >= ", to, false) ||
		t.says(key+" < "+from+" or "+key+" >= "+to))
}

// within reports whether a validated check compares with this value, or with one that is
// smaller or larger.
func (t *table) within(start, value string, smaller bool) bool {
	for _, said := range t.said() {
		v, ok := strings.CutPrefix(said, start)
		if ok && (v == value || smaller && before(v, value) || !smaller && before(value, v)) {
			return true
		}
	}
	return false
}

// before reports whether a value is surely smaller than another one: dates and integers are compared.
func before(v, w string) bool {
	const date = "'2006-01-02'"
	if x, err := time.Parse(date, v); err == nil {
		y, err := time.Parse(date, w)
		return err == nil && x.Before(y)
	}
	x, err := strconv.Atoi(v)
	y, err2 := strconv.Atoi(w)
	return err == nil && err2 == nil && x < y
}

// said returns the conditions of all validated checks.
func (t *table) said() []string {
	var all []string
	for _, c := range t.checks {
		if c.valid {
			all = append(all, c.says.conditions()...)
		}
	}
	return all
}
