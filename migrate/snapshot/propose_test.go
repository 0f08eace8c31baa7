package snapshot

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rareLines are facts that testdata/everything does not have: a role without superuser cannot make them, or they are
// of other schemas or later versions.
func rareLines() map[string][]string {
	return map[string][]string{
		"table quick": {
			"referenced by other.t, constraint t_fkey", "inherited by other.t", "replica identity nothing",
			"column b integer generated always as (a) virtual", "constraint n NOT NULL a NO INHERIT",
		},
		"function plain(integer)": {
			"leakproof", "window", "support f", "transform for hstore", "parallel restricted", "strict", "rows 5",
		},
		"foreign table remote": {
			"server s options (a=b)", "column a integer options (x=y)",
		},
		"range type span":      {"of text operator class o collate c canonical f"},
		"collation plain":      {"builtin C.UTF-8", "default", "icu not deterministic root rules '&a < g'", "icu und"},
		"aggregate total(int)": {"mtranstype integer", "sortop >"},
	}
}

// TestEachKindOfFactHasAProposalOrAReason takes each line and each object of a schema away, and adds them.
func TestEachKindOfFactHasAProposalOrAReason(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile("../testdata/everything/snapshots/0004.txt")
	if err != nil {
		t.Fatal(err)
	}
	whole := string(golden)
	for object, lines := range rareLines() {
		if !strings.Contains(whole, object+"\n") {
			whole += object + "\n"
		}
		whole = strings.Replace(whole, object+"\n", object+"\n"+factMark+strings.Join(lines, "\n"+factMark)+"\n", 1)
	}
	check := func(want, got string) {
		drift := Compare(want, got)
		if len(drift) == 0 {
			t.Fatalf("nothing differs without\n%s", firstDifference(want, got))
		}
		script := Propose(drift, want, got, "app")
		for _, c := range changesIn(drift) {
			if !slices.ContainsFunc(c.at, func(i int) bool { return drift[i].SQL != "" || drift[i].Note != "" }) &&
				len(script) == 0 {
				t.Errorf("neither SQL nor a reason: %+v", c)
			}
		}
		for _, d := range drift {
			if d.SQL != "" && d.Note != "" {
				t.Errorf("SQL and a reason why there is none: %+v", d)
			}
		}
	}
	for object, o := range Objects(whole) {
		lines := []string{object}
		for _, line := range o.lines() {
			lines = append(lines, factMark+line)
		}
		block := strings.Join(append(lines, o.Body...), "\n") + "\n"
		rest := strings.Replace("\n"+whole, "\n"+block, "\n", 1)
		check(whole, rest)
		check(rest, whole)
		for _, line := range o.lines() {
			less := strings.Replace(whole, block, strings.Replace(block, factMark+line+"\n", "", 1), 1)
			check(whole, less)
			check(less, whole)
		}
	}
}

func firstDifference(want, got string) string {
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			return want[max(0, i-80):min(len(want), i+80)]
		}
	}
	return ""
}

// TestTheQuestionHasNoWordThatProposalsDoNotKnow fails when a question asks for a new kind of fact. Give it a proposal
// or a reason why there is none, a line in testdata/everything or in rareLines, and add its word.
func TestTheQuestionHasNoWordThatProposalsDoNotKnow(t *testing.T) {
	t.Parallel()
	known := strings.Fields(`
		agg aggmtranstype aggregate aggsortop aggtranstype all arguments attribute builtin canonical collate
		collation colliculocale collicurules colllocale column composite compression constraint cost default
		delete difference domain enum extended external false for foreign function generated icu identity
		immutable index inherited inherits insert internal kind language leakproof libc main materialized
		multirange not of operator options owned parallel partition partitioned plain policy procedure public
		range referenced relation replica restrictive returns root routine row rows rule rules security select
		sequence server set stable statistics storage stored strict support table text to toast transform trigger
		und unique unlogged update using values view virtual volatile window with disabled enabled invalid
		clustered start increment minimum maximum cache cycle search_path`)
	question := Question("", "")
	for _, found := range regexp.MustCompile(`' ?([a-z][a-z_]+)\b[^']*'`).FindAllStringSubmatch(question, -1) {
		if word := found[1]; !slices.Contains(known, word) && !strings.HasPrefix(word, "pg") {
			t.Errorf("%s is new", found[0])
		}
	}
}

func TestReadColumn(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]column{
		`column "a b" character varying(20) collate "C" not null default 'x not null'::text storage main`: {
			name: `"a b"`, typeName: `character varying(20) collate "C"`, notNull: true, value: `'x not null'::text`,
			storage: "main",
		},
		"column e timestamp with time zone default now() statistics 5 with (n_distinct=5)": {
			name: "e", typeName: "timestamp with time zone", value: "now()", statistics: "5",
			options: "with (n_distinct=5)",
		},
		"column g integer not null generated always as (a * 2) stored compression pglz": {
			name: "g", typeName: "integer", notNull: true, generated: "(a * 2) stored", compressed: "pglz",
		},
		"column storage storage": {name: "storage", typeName: "storage"},
		"column i bigint not null generated by default as identity": {
			name: "i", typeName: "bigint", notNull: true, identity: "by default",
		},
		"attribute x double precision": {name: "x", typeName: "double precision"},
	} {
		if got := readColumn(line); got != want {
			t.Errorf("%s: got %+v, want %+v", line, got, want)
		}
	}
}

// TestAProposalLosesNoData holds for what could: there is a reason instead.
func TestAProposalLosesNoData(t *testing.T) {
	t.Parallel()
	const schema = "table t\n  column id integer\n  column name text\n" +
		"sequence s\n  bigint start 1 increment 1 minimum 1 maximum 9 cache 1\n" +
		"enum mood\n  values 'a', 'b'\nmaterialized view m\n  column id integer\n  |  SELECT 1 AS id;\n" +
		"composite type p\n  attribute x integer\n"
	for _, c := range []struct{ was, is string }{
		{"  column name text\n", ""},
		{"  column id integer\n", "  column id bigint\n"},
		{"'a', 'b'", "'a'"},
		{"'a', 'b'", "'b', 'a'"},
		{"table t\n  column id integer\n  column name text\n", ""},
		{"sequence s\n", "sequence z\n"},
		{"table t\n", "table t\n  unlogged\n"},
		{"|  SELECT 1 ", "|  SELECT 2 "},
		{"materialized view m", "materialized view other"},
		{"attribute x integer", "attribute x text"},
		{"  attribute x integer\n", ""},
	} {
		other := strings.Replace(schema, c.was, c.is, 1)
		for _, pair := range [][2]string{{schema, other}, {other, schema}} {
			drift := Compare(pair[0], pair[1])
			for _, sql := range Propose(drift, pair[0], pair[1], "app") {
				if strings.Contains(sql, "DROP") || strings.Contains(sql, "TYPE bigint") ||
					strings.Contains(sql, "CREATE TABLE") || strings.Contains(sql, "SET UNLOGGED") {
					t.Errorf("%q for %q: %s", c.was, c.is, sql)
				}
			}
		}
	}
}
