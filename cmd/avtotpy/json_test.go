package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// nobodyAnswers is a connection string that is worth no wait.
const nobodyAnswers = "host=127.0.0.1 port=1 user=x"

// call runs one command line as the web server's role alone, or as the migrator's, and
// returns its exit code and output.
func call(t *testing.T, db *pgtest.DB, privileged bool, args ...string) (int, []byte) {
	t.Helper()
	environ := []string{"POSTGRES_CONNECTION_STR=" + db.WebConn}
	if db.WebConn == nobodyAnswers {
		environ = append(environ, "POSTGRES_MIGRATOR_CONNECT_WAIT=1s")
	}
	if privileged {
		environ = append(environ, "POSTGRES_MIGRATOR_CONNECTION_STR="+db.MigratorConn,
			"POSTGRES_MIGRATOR_UNPRIVILEGED_USER="+db.WebRole, "POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD="+
				db.WebPassword)
	}
	path := filepath.Join(t.TempDir(), "stdout")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	p := program{
		args: args, environ: environ, stdout: out, stderr: os.Stderr, migrations: schema.Files(),
		privileges: schema.Privileges(), protect: func() error { return nil },
	}
	code := p.run()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return code, content
}

// read parses one object that has the fields of target and no other.
func read(t *testing.T, document []byte, target any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		t.Fatalf("%v in\n%s", err, document)
	}
	if decoder.More() {
		t.Fatalf("more than one document:\n%s", document)
	}
}

func TestStatusInJSONKeepsItsNamesAndTypes(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	pgtest.Exec(t, db.SuperConn, "UPDATE avtotpy.migrations SET checksum = sha256('edited'), duration = '1.5 s', "+
		"applied_at = '2026-03-01 12:00:00+02', rebuilt = true WHERE version = 2", pgtest.Testify(schema.Name))
	code, document := call(t, db, false, "migrate", "status", "--json")
	var got struct {
		Schema      string     `json:"schema"`
		State       string     `json:"state"`
		Version     int        `json:"version"`
		Target      int        `json:"target"`
		MinVersion  int        `json:"min_version"`
		Role        string     `json:"role"`
		Pending     []struct{} `json:"pending"`
		Differences []struct {
			Version int    `json:"version"`
			What    string `json:"what"`
		} `json:"differences"`
		History []struct {
			Version    int     `json:"version"`
			Name       string  `json:"name"`
			Checksum   string  `json:"checksum"`
			MinVersion int     `json:"min_version"`
			AppliedAt  string  `json:"applied_at"`
			Seconds    float64 `json:"seconds"`
			AppliedBy  string  `json:"applied_by"`
			AppVersion string  `json:"app_version"`
			Claimed    bool    `json:"claimed"`
			Rebuilt    bool    `json:"rebuilt"`
		} `json:"history"`
		Earlier int    `json:"earlier"`
		Error   string `json:"error"`
	}
	read(t, document, &got)
	if code != exitLedger || got.Schema != "avtotpy" || got.State != "diverged" || got.Version != got.Target ||
		got.Role != db.WebRole || got.Error == "" {
		t.Errorf("exited with %d, want %d and the schema avtotpy, diverged, as %s:\n%s", code, exitLedger, db.WebRole,
			document)
	}
	if len(got.Differences) != 1 || got.Differences[0].Version != 2 || len(got.History) != got.Target {
		t.Fatalf("want one difference at version 2 and %d rows:\n%s", got.Target, document)
	}
	row := got.History[1]
	if row.Version != 2 || row.Name != "sessions" || row.AppliedAt != "2026-03-01T10:00:00Z" || row.Seconds != 1.5 ||
		!row.Rebuilt || len(row.Checksum) != 64 {
		t.Errorf("got %+v, want version 2, sessions, at 2026-03-01T10:00:00Z, 1.5 seconds, rebuilt", row)
	}
}

func TestPlanInJSONKeepsItsNamesAndTypes(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	code, document := call(t, db, true, "migrate", "plan", "--json", "--sql")
	var got struct {
		Schema       string `json:"schema"`
		State        string `json:"state"`
		Version      int    `json:"version"`
		Target       int    `json:"target"`
		Privileged   bool   `json:"privileged"`
		CreateSchema bool   `json:"create_schema"`
		CreateRole   bool   `json:"create_role"`
		Role         string `json:"role"`
		Pending      []struct {
			Version    int      `json:"version"`
			Name       string   `json:"name"`
			File       string   `json:"file"`
			Statements int      `json:"statements"`
			Bytes      int      `json:"bytes"`
			Directives []string `json:"directives"`
			SQL        string   `json:"sql"`
		} `json:"pending"`
		Grant  []string `json:"grant"`
		Revoke []string `json:"revoke"`
	}
	read(t, document, &got)
	if code != 0 || got.State != "blank" || !got.Privileged || !got.CreateSchema || !got.CreateRole ||
		got.Role != db.WebRole || len(got.Grant) == 0 || got.Revoke == nil {
		t.Errorf("exited with %d, want 0 and a blank database, to be created with %s:\n%.2000s", code, db.WebRole,
			document)
	}
	if len(got.Pending) != got.Target {
		t.Fatalf("%d files are pending, want %d", len(got.Pending), got.Target)
	}
	bundle, err := bundle.Load(schema.Files())
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range bundle.Migrations() {
		if f := got.Pending[i]; f.File != m.File || f.SQL != m.SQL || f.Bytes != len(m.SQL) ||
			f.Statements != m.Statements() || f.Directives == nil {
			t.Errorf("got %+v, want the file %s", f, m.File)
		}
	}
}

// TestJSONIsPrintedInAnyCase: a script that parses it need not look at the exit code
// first.
func TestJSONIsPrintedInAnyCase(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	pgtest.Exec(t, db.SuperConn, "REVOKE SELECT ON avtotpy.migrations FROM "+db.WebRole)
	nowhere := *db
	nowhere.MigratorConn, nowhere.WebConn = nobodyAnswers, nobodyAnswers
	for _, name := range []string{"status", "plan", "verify", "repair", "rehearse"} {
		for what, c := range map[string]struct {
			db         *pgtest.DB
			privileged bool
			code       int
		}{"nobody answers": {&nowhere, true, exitUnreachable}, "no right to read": {db, false, exitPrivilege}} {
			want := c.code
			if !c.privileged && (name == "repair" || name == "rehearse") { // which need another connection
				want = exitSettings
			}
			var got struct{ Schema, Error string }
			code, document := call(t, c.db, c.privileged, "migrate", name, "--json")
			read(t, document, &got)
			if code != want || got.Schema != "avtotpy" || got.Error == "" {
				t.Errorf("%s, %s: exited with %d, want %d and an error:\n%s", name, what, code, want, document)
			}
		}
	}
}

// TestJSONIsDocumented holds docs/cli.md to the names that are printed.
func TestJSONIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	second := 1.0
	for _, document := range []any{
		statusDocument{
			Error: "x", Claimed: 1, History: []migrate.LedgerRow{{AppliedAt: at, Seconds: &second}},
			Differences: []difference{{}}, Pending: []pendingFile{{SQL: "x"}},
		},
		rehearsalDocument{
			Error: "x", Role: "x", Unproved: "x", Drift: []snapshot.Difference{{Line: "x"}},
			Findings: []privilege.Finding{{}}, Files: []measuredFile{{Unmeasured: true, Locks: []measuredLock{{}}}},
		},
		impactDocument{Error: "x"},
		planDocument{Error: "x", Role: "x", Pending: []pendingFile{{SQL: "x"}}},
		repairDocument{
			Error: "x", Proof: "x", Comment: "x", Damage: []snapshot.Difference{{}}, Gone: []snapshot.Difference{{}},
			Rows: []repairRow{{}},
		},
	} {
		encoded, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if err := json.Unmarshal(encoded, &tree); err != nil {
			t.Fatal(err)
		}
		for _, name := range names(tree) {
			if !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/cli.md does not explain `%s` of %T", name, document)
			}
		}
	}
}

// names lists the keys of a document and of all within it.
func names(tree any) []string {
	var found []string
	switch tree := tree.(type) {
	case map[string]any:
		for key, value := range tree {
			found = append(append(found, key), names(value)...)
		}
	case []any:
		for _, value := range tree {
			found = append(found, names(value)...)
		}
	}
	return found
}

// TestEveryKeyOfTheDocumentsIsDocumented holds keys that are seldom there, too: a renamed one is a changed interface.
func TestEveryKeyOfTheDocumentsIsDocumented(t *testing.T) {
	t.Parallel()
	pages := map[string]string{}
	for _, name := range []string{"cli.md", "privileges.md", "users.md"} {
		content, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = string(content)
	}
	for _, c := range []struct {
		page     string
		document any
	}{
		{"cli.md", statusDocument{}},
		{"cli.md", planDocument{}},
		{"cli.md", rehearsalDocument{}},
		{"cli.md", impactDocument{}},
		{"cli.md", repairDocument{}},
		{"privileges.md", verification{}},
		{"users.md", userDocument{}},
	} {
		for _, key := range keysOf(reflect.TypeOf(c.document)) {
			if !strings.Contains(pages[c.page], "`"+key+"`") && !strings.Contains(pages[c.page], `"`+key+`"`) {
				t.Errorf("docs/%s does not explain the key %q of %T", c.page, key, c.document)
			}
		}
	}
}

// keysOf lists the keys of a type in JSON, of its parts too.
func keysOf(of reflect.Type) (keys []string) {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice:
		return keysOf(of.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	for field := range of.Fields() {
		if key, _, _ := strings.Cut(field.Tag.Get("json"), ","); key != "" && key != "-" {
			keys = append(keys, key)
			keys = append(keys, keysOf(field.Type)...)
		}
	}
	return keys
}
