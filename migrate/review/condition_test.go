package review_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/review"
)

// condition makes one over app.c, of which every value of a column but id may be null.
func condition(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(4) == 0 {
		return pick(r, simpleConditions()...)
	}
	one, two := condition(r, depth-1), condition(r, depth-1)
	form := pick(r, "%s AND %s", "%s OR %s", "(%s) AND (%s)", "(%s) OR (%s)", "NOT (%s) OR %s", "NOT (%s) AND (%s)",
		"(%s) IS TRUE OR %s", "NOT %s OR %s")
	return fmt.Sprintf(form, one, two)
}

func simpleConditions() []string {
	return []string{
		"true", "false", "NULL::boolean", "1 = 1", "1 = 2", "1 <> 2", "2 >= 1", "'a' = 'a'", "'t'::boolean", "(true)",
		"'no'::boolean", "id IS NOT NULL", "c.id IS NOT NULL", "id IS NULL", "n IS NULL", "n IS NOT NULL", "f",
		"f IS TRUE", "f IS NOT TRUE", "n = n", "id = id", "id <> id", "n > 1", "n BETWEEN 1 AND 2",
		"n NOT BETWEEN 1 AND 2",
		"a LIKE '%'", "a LIKE 'x%'", "NULL IS NULL", "NULL IS NOT NULL", "n IS NOT DISTINCT FROM n",
		"n IS DISTINCT FROM n", "a = 'x'",
		"'x' = a", "ctid IS NOT NULL", "EXISTS (SELECT 1)", "EXISTS (SELECT WHERE false)", "1 IN (1, 2)",
		"id IN (SELECT 1)", "coalesce(f, true)", "coalesce(NULL, true)", "CASE WHEN f THEN true ELSE false END",
		"CURRENT_DATE > '2000-01-01'", "now() > '2000-01-01'", "1.5 < 1.6", "true IS NOT FALSE", "false IS FALSE",
		"(1 = 1) IS TRUE",
		"(f AND n > 0) IS NOT TRUE", "n + 1 = n + 1", "'t'", "NOT NULL::boolean IS NULL",
	}
}

// TestConditionsThatChooseNothing lets a server say which of random conditions are true of every row: what
// the review calls so is, and what names no column and is true is found.
func TestConditionsThatChooseNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	const table = "CREATE TABLE app.c (id integer PRIMARY KEY, n integer, a text, f boolean);"
	pgtest.Exec(t, db.SuperConn, "CREATE SCHEMA app", table, `
		INSERT INTO app.c SELECT row_number() OVER (), n, a, f
		FROM (VALUES (1), (2), (-7), (NULL)) x (n), (VALUES ('x'), ('y'), (NULL)) y (a),
			(VALUES (true), (false), (NULL)) z (f)`)
	conn := db.Connect(t, db.SuperConn)
	r := rand.New(rand.NewPCG(12, 1))
	const tries = 500
	found := map[string]int{}
	for range tries {
		sql := condition(r, r.IntN(4))
		var all, some bool
		question := "SELECT bool_and((" + sql + ") IS TRUE), bool_or((" + sql + ") IS TRUE) FROM app.c"
		if err := conn.QueryRow(t.Context(), question).Scan(&all, &some); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		bundle, err := bundle.Load(files(table, "DELETE FROM app.c WHERE "+sql))
		if err != nil {
			t.Fatal(err)
		}
		said := fmt.Sprint(review.Bundle(bundle, "app", 1))
		kind := ""
		switch {
		case strings.Contains(said, "names no column"):
			kind = "none named"
		case strings.Contains(said, "is true of every row"):
			kind = "every"
		}
		found[kind]++
		switch named := ofColumns.MatchString(literals.ReplaceAllString(sql, "")); {
		case kind == "every" && !all:
			t.Errorf("%s: is not true of every row", sql)
		case kind == "none named" && all != some:
			t.Errorf("%s: is true of some rows", sql)
		case kind == "" && !named && all:
			t.Errorf("%s: names no column and is true, and nothing was found", sql)
		}
	}
	t.Log(found)
}

var (
	literals  = regexp.MustCompile(`'[^']*'`)
	ofColumns = regexp.MustCompile(`\b(id|n|f|a|ctid)\b`)
)
