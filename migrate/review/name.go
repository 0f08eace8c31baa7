package review

// A name is that of an object, with its schema where one is written.
type name struct {
	schema, name string
	at           int
}

func (n name) String() string {
	if n.schema == "" {
		return n.name
	}
	return n.schema + "." + n.name
}

// name reads a name; of more than two parts it returns the last two, for the first is
// the database. ok is false when there is none.
func (p *phrase) name() (n name, ok bool) {
	parts, at := p.path()
	switch len(parts) {
	case 0:
		return name{}, false
	case 1:
		return name{name: parts[0], at: at}, true
	}
	return name{parts[len(parts)-2], parts[len(parts)-1], at}, true
}

// path reads the parts of a.b.c.
func (p *phrase) path() (parts []string, at int) {
	at = p.at()
	for len(*p) > 0 {
		part, ok := (*p)[0].Name()
		if !ok {
			break
		}
		parts = append(parts, part)
		*p = (*p)[1:]
		if !p.accept(".") {
			break
		}
	}
	return parts, at
}

// names reads the identifiers of a list such as (a, b); what is an expression is "".
func (p phrase) names() []string {
	var names []string
	for _, item := range p.list() {
		n, _ := item.name()
		if item.is("(") || item.is(".") {
			n.name = "" // a function's, not a column's
		}
		names = append(names, n.name)
	}
	return names
}
