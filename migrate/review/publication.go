package review

import "slices"

// createPublication judges what follows CREATE PUBLICATION.
func (r *review) createPublication(p phrase) {
	n, _ := p.name()
	r.made.quiet[n.name] = p.find("WITH").insertsOnly()
	if p.accept("FOR", "ALL", "TABLES") {
		r.publishAll(p.at())
		return
	}
	p.accept("FOR")
	r.publish(n.name, p)
}

// alterPublication judges what follows ALTER PUBLICATION.
func (r *review) alterPublication(p phrase) {
	n, _ := p.name()
	switch {
	case p.is("SET", "("):
		r.made.quiet[n.name] = p.insertsOnly()
	case p.accept("ADD"), p.accept("SET"):
		r.publish(n.name, p)
	case p.is("OWNER", "TO"):
		r.otherAction(p.at(), n, p, false)
	}
}

// insertsOnly reports whether a list of options says that neither UPDATE nor DELETE are published.
func (p phrase) insertsOnly() bool {
	for _, t := range p {
		if t.Text == "'insert'" || t.Text == "'insert, truncate'" || t.Text == "'truncate'" {
			return true
		}
	}
	return false
}

// publish judges the list of what is published: TABLE a, b (c) WHERE (…), TABLES IN SCHEMA d.
func (r *review) publish(publication string, p phrase) {
	for _, item := range p.until("WITH").list() {
		if item.accept("TABLES", "IN", "SCHEMA") {
			if !r.made.quiet[publication] {
				r.publishAll(item.at())
			}
			continue
		}
		item.accept("TABLE")
		n := item.target()
		r.own(n)
		columns := item.group().names()
		where := item.find("WHERE").words()
		if n.name != "" && !r.made.quiet[publication] {
			r.publishTable(n, columns, where)
		}
	}
}

func (r *review) publishAll(at int) {
	for of, t := range r.made.tables {
		n := name{r.schema, of, at}
		_, view := r.made.views[of]
		if !view && !t.foreign && !t.stored && !t.partitioned && t.identity == "" && r.oldTable(n) {
			r.publishTable(n, nil, nil)
			return
		}
	}
}

// publishTable says when UPDATE and DELETE fail with a publication: they do where the server cannot tell
// which row they change, of the columns that are published.
func (r *review) publishTable(n name, columns, where []string) {
	t := r.made.table(n)
	t.published = true
	identity := t.columnsOf(t.identity)
	lacks := t.identity == "" || len(columns) > 0 && slices.ContainsFunc(identity, func(c string) bool {
		return !slices.Contains(columns, c)
	})
	for _, w := range where {
		if _, column := t.kinds[w]; column && t.identity != identityFull && !slices.Contains(identity, w) {
			lacks = true
		}
	}
	if lacks = lacks || t.identity == identityFull && len(columns) > 0; lacks && r.oldTable(n) && !t.partitioned {
		r.contracting(n.at, "a publication of "+n.String()+
			" without the columns of a primary key, with which UPDATE and DELETE fail,")
	}
}

// identityFull is the identity of a table whose whole rows tell them apart.
const identityFull = "\x00full"

// replicaIdentity judges what follows REPLICA IDENTITY.
func (r *review) replicaIdentity(at int, n name, p phrase) {
	t := r.made.table(n)
	switch {
	case p.is("FULL"):
		t.identity = identityFull
	case p.accept("USING", "INDEX"):
		i, _ := p.name()
		t.identity = i.name
	case p.is("NOTHING"):
		t.identity = ""
		if t.published && r.oldTable(n) {
			r.contracting(at, "REPLICA IDENTITY NOTHING of "+n.String()+
				", with which UPDATE and DELETE of a published table fail,")
		}
	}
}
