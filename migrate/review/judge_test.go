package review_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/review"
)

// A change is what a release holds, and the files that follow it.
type change struct {
	made  string     // what the release made, one statement a line
	files [][]string // statements, each of one line
}

func (c change) String() string {
	var s strings.Builder
	s.WriteString(c.made)
	for _, f := range c.files {
		s.WriteString("\n-- next file\n" + strings.Join(f, ";\n") + ";")
	}
	return s.String()
}

// A verdict is what is said of one statement, or of a file where statement is -1.
type verdict struct {
	file, statement int
	kind            string // danger: others wait while it works; contract: an older program fails
}

// dangers are the rules that say that others have to wait.
var dangers = []string{
	"concurrently", "not-valid", "using-index", "not-null", "volatile-default", "rewrite",
	"held-lock", "attach",
}

var ruleAtEnd = regexp.MustCompile(`\(([a-z-]+)\)$`)

// said is what the review says of a change.
func (c change) said(tb testing.TB) (map[verdict]string, bool) {
	tb.Helper()
	sql := []string{c.made}
	for _, f := range c.files {
		sql = append(sql, strings.Join(f, ";\n"))
	}
	bundle, err := bundle.Load(files(sql...))
	if err != nil {
		return nil, false
	}
	found := map[verdict]string{}
	for _, p := range review.Bundle(bundle, "app", 1) {
		rule := ruleAtEnd.FindStringSubmatch(p.Message)
		version, _ := strconv.Atoi(p.File[:4])
		v := verdict{version - 2, p.Line - 1, ""}
		switch {
		case rule == nil:
			tb.Fatalf("%s\n%s", c, p)
		case rule[1] == "min-version":
			v.statement, v.kind = -1, "contract"
		case slices.Contains(dangers, rule[1]):
			v.kind = "danger"
		default:
			continue
		}
		found[v] = p.Message
	}
	return found, true
}

// A court asks a server what a change really does.
type court struct {
	conn     *pgx.Conn
	web      string // the role of older programs
	messages []string
}

//go:embed testdata/judge.sql
var judgeSQL string

func newCourt(tb testing.TB) *court {
	tb.Helper()
	db := pgtest.Blank(tb)
	config, err := pgx.ParseConfig(db.SuperConn)
	if err != nil {
		tb.Fatal(err)
	}
	j := &court{web: db.WebRole}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { j.messages = append(j.messages, n.Message) }
	if j.conn, err = pgx.ConnectConfig(tb.Context(), config); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = j.conn.Close(context.Background()) })
	pgtest.Exec(tb, db.SuperConn, "CREATE ROLE "+j.web, "CREATE SCHEMA app", judgeSQL)
	j.must(tb, "SET timezone = 'UTC'; SET search_path = pg_catalog")
	return j
}

func (j *court) exec(tb testing.TB, sql string) error {
	tb.Helper()
	j.messages = nil
	_, err := j.conn.PgConn().Exec(tb.Context(), sql).ReadAll()
	return err
}

func (j *court) must(tb testing.TB, sql string) {
	tb.Helper()
	if err := j.exec(tb, sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

// A relation is one that a release made, as it is in the transaction at hand.
type relation struct {
	Name, Kind, Node string
	Rows, Read       int64 // Read of its rows by this transaction
	Strong           bool  // locked against writers, or all
}

func (j *court) relations(tb testing.TB) map[string]relation {
	tb.Helper()
	var text string
	if err := j.conn.QueryRow(tb.Context(), "SELECT judge.relations()").Scan(&text); err != nil {
		tb.Fatal(err)
	}
	var all map[string]relation
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		tb.Fatal(err)
	}
	return all
}

// programs runs what an older program asks, and returns what became of each.
func (j *court) programs(tb testing.TB) []string {
	tb.Helper()
	var said []string
	if err := j.conn.QueryRow(tb.Context(), "SELECT judge.programs($1)", j.web).Scan(&said); err != nil {
		tb.Fatal(err)
	}
	return said
}

// worse compares what became of an older program's statement. Whether it fills a column that
// becomes NOT NULL, and with what, is not in the text of a file: that is for its author to see.
func worse(was, is string, statements []string) bool {
	if _, failure, failed := strings.Cut(is, ": "); failed {
		filled := slices.ContainsFunc(statements, func(s string) bool {
			return strings.Contains(s, "SET NOT NULL") || strings.Contains(s, "DOMAIN") ||
				strings.Contains(s, "CHECK") || strings.Contains(s, "NOT NULL AS") ||
				strings.Contains(s, "app.checked") || strings.Contains(s, "app.inner") ||
				strings.Contains(s, "ADD CONSTRAINT") && strings.Contains(s, " NOT NULL ") ||
				strings.Contains(s, "app.outer") || strings.Contains(s, "USING NULL") ||
				strings.Contains(s, "ATTACH PARTITION")
		})
		// A view that takes a table's place takes neither: that a program needs them is for a person to see.
		if into := tableInto.FindStringSubmatch(is); into != nil &&
			slices.ContainsFunc(statements, func(s string) bool {
				return strings.HasPrefix(s, "CREATE VIEW "+into[1]+into[2]+" ")
			}) {
			return false
		}
		// an overload made a call ambiguous: which calls there are is the program's
		if strings.HasPrefix(failure, "42725") {
			return false
		}
		return !strings.HasPrefix(failure, "23505") && !strings.HasPrefix(failure, "220") &&
			(!strings.HasPrefix(failure, "23") || !filled) && !strings.Contains(was, ": ")
	}
	number := func(s string) int {
		n, _ := strconv.Atoi(s[strings.LastIndexByte(s, ' ')+1:])
		return n
	}
	return number(is) < number(was) && !slices.ContainsFunc(statements, func(s string) bool {
		return strings.Contains(s, "DELETE FROM") || strings.Contains(s, "TRUNCATE") // of data
	})
}

// unlike reports whether a file does things together of which the judge, or the review, sees only
// one: data that goes, a policy for another, values that a column or a partition does not take.
func unlike(statements []string) bool {
	all := strings.Join(statements, "\n")
	for _, s := range []string{
		"DELETE FROM", "TRUNCATE", "SET GENERATED", "DROP POLICY", "SET NOT NULL", "CHECK",
		"DOMAIN", "ATTACH PARTITION", "app.checked",
	} {
		if len(statements) > 1 && strings.Contains(all, s) {
			return true
		}
	}
	return strings.Contains(all, "USING NULL")
}

var tableInto = regexp.MustCompile(`^(?:INSERT INTO (\S+) .* ON CONFLICT ON CONSTRAINT|MERGE INTO (\S+) )`)

var aboutTable = regexp.MustCompile(`^(rewriting|verifying) table "([^"]+)"|^building index .* on table "([^"]+)"`)

// release makes what a release holds, and returns what became of its programs' statements.
func (j *court) release(tb testing.TB, made string) (before []string, err error) {
	tb.Helper()
	j.must(tb, "DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app")
	if err := j.exec(tb, made); err != nil { // an index on xml, for example
		return nil, err
	}
	j.must(tb, "SELECT judge.remember('"+j.web+"')")
	return j.programs(tb), nil
}

// done is what a change does; ok is false when a statement fails.
func (j *court) done(tb testing.TB, c change) (found map[verdict]string, ok bool) {
	tb.Helper()
	before, err := j.release(tb, c.made)
	if err != nil {
		return map[verdict]string{{-1, -1, "fails"}: err.Error()}, false
	}
	found = map[verdict]string{}
	for i, statements := range c.files {
		j.must(tb, "BEGIN")
		if before, ok = j.apply(tb, i, statements, before, found); !ok {
			j.must(tb, "ROLLBACK")
			return found, false
		}
		j.must(tb, "COMMIT")
	}
	return found, true
}

// apply runs a file in a transaction, and adds to found what its statements do; ok is false when one
// fails. It returns what became of the statements of the release's programs, which it compares with
// what had become of them before.
func (j *court) apply(
	tb testing.TB, file int, statements, before []string, found map[verdict]string,
) (after []string, ok bool) {
	tb.Helper()
	was := j.relations(tb)
	for k, sql := range statements {
		j.must(tb, "SET LOCAL client_min_messages = debug1")
		if err := j.exec(tb, sql); err != nil {
			clear(found)
			found[verdict{file, k, "fails"}] = err.Error()
			return nil, false
		}
		messages := j.messages
		j.must(tb, "SET LOCAL client_min_messages = warning")
		now := j.relations(tb)
		if work, locked := worked(sql, was, now, messages); len(work) > 0 && len(locked) > 0 {
			found[verdict{file, k, "danger"}] = fmt.Sprintf("%s; locked %s", strings.Join(work, ", "), locked)
		}
		was = now
	}
	j.must(tb, "SELECT judge.grants('"+j.web+"')")
	after = j.programs(tb)
	for k, s := range after {
		if worse(before[k], s, statements) {
			found[verdict{file, -1, "contract"}] = before[k] + "\n      is " + s
			break
		}
	}
	return after, true
}

// worked returns what a statement has read or written of what the release made, and what is locked then.
func worked(sql string, was, now map[string]relation, messages []string) (work, locked []string) {
	names := map[string]bool{}
	for _, r := range now {
		names[r.Name] = r.Rows > 0 && r.Node != ""
	}
	truncated := strings.HasPrefix(sql, "TRUNCATE") || strings.Contains(sql, "WITH NO DATA") // no work
	for oid, r := range now {
		if r.Node != was[oid].Node && r.Node != "" && r.Rows > 0 && !truncated {
			work = append(work, "rewrites "+r.Name)
		}
		if r.Rows > 0 && 2*(r.Read-was[oid].Read) >= r.Rows && !truncated {
			work = append(work, "reads "+r.Name)
		}
		if r.Strong {
			locked = append(locked, r.Name)
		}
	}
	for _, m := range messages {
		if about := aboutTable.FindStringSubmatch(m); about != nil && names[about[2]+about[3]] && !truncated {
			work = append(work, m)
		}
	}
	slices.Sort(work)
	return work, locked
}

// differences compares both.
func (j *court) differences(tb testing.TB, c change) (list []string, judged bool) {
	tb.Helper()
	done, ok := j.done(tb, c)
	said, loads := c.said(tb)
	if !ok || !loads {
		return nil, false
	}
	return c.compare(said, done, j.version(tb)), true
}

// compare returns where the review and a server of that version disagree.
func (c change) compare(said, done map[verdict]string, version int) (list []string) {
	for i, f := range c.files {
		if v := (verdict{i, -1, "contract"}); unlike(f) {
			delete(done, v)
			delete(said, v)
		}
	}
	for i := range c.files { // behind the first loss, an older program has failed already
		if v := (verdict{i, -1, "contract"}); done[v] != "" || said[v] != "" {
			for k := i + 1; k < len(c.files); k++ {
				delete(done, verdict{k, -1, "contract"})
				delete(said, verdict{k, -1, "contract"})
			}
			break
		}
	}
	for v, what := range done {
		if said[v] == "" {
			list = append(list, fmt.Sprintf("missed: file %d, statement %d, %s: %s", v.file+2, v.statement+1, v.kind,
				what))
		}
	}
	for v, message := range said {
		older := version >= 18 && strings.Contains(message, "before PostgreSQL 18")
		if done[v] == "" && !older {
			list = append(list, fmt.Sprintf("false: file %d, statement %d, %s: %s", v.file+2, v.statement+1, v.kind,
				message))
		}
	}
	slices.Sort(list)
	return list
}

// smaller leaves statements out for as long as there is still a difference.
func (j *court) smaller(tb testing.TB, c change) change {
	tb.Helper()
	for again := true; again; {
		again = false
		for i, f := range c.files {
			for k := range f {
				d := change{c.made, slices.Clone(c.files)}
				d.files[i] = slices.Delete(slices.Clone(f), k, k+1)
				if len(d.files[i]) == 0 {
					d.files = slices.Delete(d.files, i, i+1)
				}
				if len(d.files) == 0 {
					continue
				}
				if list, _ := j.differences(tb, d); len(list) > 0 {
					c, again = d, true
					break
				}
			}
			if again {
				break
			}
		}
	}
	return c
}

// TestTheReviewAgreesWithTheServer lets random changes run on a server, and compares what the
// review says with what the server did: whether others have to wait while a statement
// reads or writes a table, and whether an older program's statements still work.
//
// REVIEW_CHANGES=5000 is the long form (make test-long); REVIEW_SEED sets where it begins.
func TestTheReviewAgreesWithTheServer(t *testing.T) {
	t.Parallel()
	n, seed := 80, uint64(1)
	if s := os.Getenv("REVIEW_CHANGES"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	if s := os.Getenv("REVIEW_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	j := newCourt(t)
	judged, statements, seen := 0, 0, map[string]bool{}
	version := j.version(t)
	for i := range n {
		c := random(rand.New(rand.NewPCG(seed, uint64(i))), version)
		list, ok := j.differences(t, c)
		if !ok {
			if os.Getenv("REVIEW_FAILS") != "" {
				done, _ := j.done(t, c)
				t.Log(c.files, done)
			}
			continue
		}
		judged++
		for _, f := range c.files {
			statements += len(f)
		}
		if len(list) == 0 {
			continue
		}
		c = j.smaller(t, c)
		list, _ = j.differences(t, c)
		if key := fmt.Sprint(c.files); !seen[key] {
			seen[key] = true
			t.Errorf("change %d\n%s\n  %s", i, c, strings.Join(list, "\n  "))
		}
	}
	t.Logf("%d statements of %d changes were judged; a statement of %d others fails", statements, judged, n-judged)
	if judged < n/2 {
		t.Errorf("only %d of %d changes could be judged", judged, n)
	}
}

func (j *court) version(tb testing.TB) int {
	tb.Helper()
	var n int
	if err := j.conn.QueryRow(tb.Context(),
		"SELECT current_setting('server_version_num')::int / 10000").Scan(&n); err != nil {
		tb.Fatal(err)
	}
	return n
}
