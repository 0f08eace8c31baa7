package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/osuser"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

func TestMain(m *testing.M) {
	testscript.Main(runner{m}, map[string]func(){"avtotpy": commandUnderTest})
}

// A runner runs the tests with a PostgreSQL server around them.
type runner struct{ m *testing.M }

func (r runner) Run() int { return pgtest.Run(r.m) }

// commandUnderTest is the real program, with the migrations of the folder BUNDLE
// when that is set: releases older and newer than this one, and broken ones.
func commandUnderTest() {
	p := program{
		name: os.Args[0], args: os.Args[1:], environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr,
		migrations: schema.Files(), privileges: schema.Privileges(), exec: replaceProcess,
		protect: func() error { return nil },
	}
	// without root, tests could not read its environment in /proc any more
	if os.Geteuid() == 0 || os.Getenv("PROTECT") != "" {
		p.protect = osuser.Protect
	}
	if folder := os.Getenv("BUNDLE"); folder != "" {
		p.migrations = inMemory(os.DirFS(folder)) // a program that gives up root may not reach the test's folder
		p.privileges = privilegesWithin(p.migrations, p.privileges)
	}
	os.Exit(p.run())
}

// inMemory copies the files of a folder.
func inMemory(folder fs.FS) fs.FS {
	copied := fstest.MapFS{}
	_ = fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error { // Load reports what is missing
		if err == nil && !entry.IsDir() {
			content, _ := fs.ReadFile(folder, name)
			copied[name] = &fstest.MapFile{Data: content}
		}
		return err
	})
	return copied
}

// replaceProcess fails where NO_EXEC stands for a system on which it is not possible.
func replaceProcess(file string, args, environ []string) error {
	if os.Getenv("NO_EXEC") != "" {
		return syscall.ENOSYS
	}
	return syscall.Exec(file, args, environ)
}

// privilegesWithin leaves out what the migrations of another release do not create.
func privilegesWithin(migrations fs.FS, all []privilege.Privilege) []privilege.Privilege {
	var sql strings.Builder
	names, _ := fs.Glob(migrations, "*.sql") // the pattern is well-formed
	for _, name := range names {
		content, _ := fs.ReadFile(migrations, name) // Load reports what cannot be read
		sql.Write(content)
	}
	all = slices.Clone(all)
	for i := range all {
		all[i].Allow = columnsWithin(sql.String(), all[i])
		all[i].RowSecurity = all[i].RowSecurity &&
			strings.Contains(sql.String(), "ALTER TABLE avtotpy."+strings.TrimPrefix(all[i].On, "TABLE ")+
				" ENABLE ROW LEVEL SECURITY")
	}
	return slices.DeleteFunc(all, func(p privilege.Privilege) bool {
		object, _, _ := strings.Cut(p.On, "(") // of a function, without its arguments
		kind, name, _ := strings.Cut(object, " ")
		return !regexp.MustCompile(`(?i)CREATE ` + kind + ` avtotpy\.` + name + `\b`).MatchString(sql.String())
	})
}

// columnsWithin leaves out the columns that the migrations of another release do not make.
func columnsWithin(sql string, p privilege.Privilege) string {
	var table strings.Builder // the statements that make or change it
	name := regexp.QuoteMeta(strings.TrimPrefix(p.On, "TABLE "))
	for _, statement := range regexp.MustCompile(`(?ms)^(?:CREATE|ALTER) TABLE avtotpy\.`+name+
		`\b.*?;$`).FindAllString(sql, -1) {
		table.WriteString(regexp.MustCompile(`DROP COLUMN \w+`).ReplaceAllString(statement, ""))
	}
	return regexp.MustCompile(`\(([^)]*)\)`).ReplaceAllStringFunc(p.Allow, func(list string) string {
		columns := strings.Split(strings.Trim(list, "()"), ", ")
		columns = slices.DeleteFunc(columns, func(column string) bool {
			return !regexp.MustCompile(`\b` + column + `\b`).MatchString(table.String())
		})
		return "(" + strings.Join(columns, ", ") + ")"
	})
}

func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:       "testdata/script",
		Setup:     func(env *testscript.Env) error { return setUp(env) },
		Condition: func(name string) (bool, error) { return name == "pg_dump" && hasPgDump(), nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"release": cmdRelease, "state": cmdState, "mode": cmdMode, "exits": cmdExits, "get": cmdGet, "sql": cmdSQL,
			"replicas": cmdReplicas,
			"testify":  cmdTestify, "hold": cmdHold, "letgo": cmdLetGo, "append": cmdAppend, "inside": cmdInside,
			"pooler": cmdPooler, "probe": cmdProbe, "probing": cmdProbing, "probed": cmdProbed,
			"signalled": cmdSignalled,
			"patiently": cmdPatiently, "messages": cmdMessages, "mayrehearse": cmdMayRehearse, "killed": cmdKilled,
		},
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "", // writes what cmp expects
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// A story is what the commands of one script share.
type story struct {
	tb      testing.TB
	db      *pgtest.DB
	blocker *pgx.Conn // of hold
	probe   *probe
}

type storyKey struct{}

//nolint:forcetypeassert // setUp put it there
func storyOf(ts *testscript.TestScript) *story { return ts.Value(storyKey{}).(*story) }

func setUp(env *testscript.Env) error {
	tb, ok := env.T().(testing.TB)
	if !ok {
		return errors.New("testscript's T is no testing.TB any more")
	}
	s := &story{tb: tb}
	env.Values[storyKey{}] = s
	env.Setenv("AVTOTPY_MASTER_KEY", keyring.Generate("k1"))
	env.Setenv("AVTOTPY_LISTEN_ADDR", pgtest.FreeAddress(tb))
	env.Setenv("AVTOTPY_LOG_FORMAT", "text")
	env.Setenv("POSTGRES_MIGRATOR_CONNECT_WAIT", pgtest.Patience.String())
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("HEALTH", pgtest.FreeAddress(tb))
	env.Setenv("SECOND", pgtest.FreeAddress(tb)) // for AVTOTPY_LISTEN_ADDR of another program beside
	folder, err := dataDir(tb)
	if err != nil {
		return err
	}
	env.Setenv("AVTOTPY_DATA_DIR", folder)
	env.Setenv("AVTOTPY_POSTGRES_BIN", pgtest.Bin())
	const beyond = 10
	for i := range beyond + 1 { // the versions of this release and of those after it, as numbers and as files have them
		env.Setenv(fmt.Sprintf("V%d", i), strconv.Itoa(lastVersion(tb)+i))
		env.Setenv(fmt.Sprintf("F%d", i), fmt.Sprintf("%04d", lastVersion(tb)+i))
	}
	s.fresh(env.Setenv)
	return nil
}

// lastVersion is that of this release.
func lastVersion(tb testing.TB) int {
	tb.Helper()
	bundle, err := schema.Bundle()
	if err != nil {
		tb.Fatal(err)
	}
	return bundle.Version()
}

// fresh gives the script a new, blank database.
func (s *story) fresh(setenv func(key, value string)) {
	s.db = pgtest.Blank(s.tb)
	setenv("POSTGRES_MIGRATOR_CONNECTION_STR", s.db.MigratorConn)
	setenv("POSTGRES_CONNECTION_STR", s.db.WebConn)
	setenv("POSTGRES_MIGRATOR_UNPRIVILEGED_USER", s.db.WebRole)
	setenv("POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD", s.db.WebPassword)
}

// dataDir makes a folder that PostgreSQL can reach also when the tests run as root,
// whose own folders are closed to it.
func dataDir(tb testing.TB) (string, error) {
	tb.Helper()
	folder, err := os.MkdirTemp("", "avtotpy-script-") //nolint:usetesting // see above
	if err != nil {
		return "", err
	}
	tb.Cleanup(func() { _ = os.RemoveAll(folder) })
	return filepath.Join(folder, "data"), os.Chmod(folder, 0o711)
}

// cmdRelease makes the folder of a release's migrations and points BUNDLE at it:
//
//	release 0.5       the first five of this program's files
//	release edited    this program's files, the second with another comment
//	release 1         this program's files
//	release 1+FILE…   and files of the script behind them, OWN_VERSION in them replaced
func cmdRelease(ts *testscript.TestScript, _ bool, args []string) {
	names, err := fs.Glob(schema.Files(), "*.sql")
	ts.Check(err)
	name, extra, _ := strings.Cut(args[0], "+")
	if name == "0.5" {
		names = names[:5]
	}
	folder := ts.MkAbs("release-" + args[0])
	ts.Check(os.RemoveAll(folder))
	ts.Check(os.MkdirAll(folder, 0o755))
	for _, n := range names {
		content, err := fs.ReadFile(schema.Files(), n)
		ts.Check(err)
		if name == "edited" && strings.HasPrefix(n, "0002") {
			content = append(content, "-- edited\n"...)
		}
		ts.Check(os.WriteFile(filepath.Join(folder, n), content, 0o600))
	}
	for i, file := range strings.FieldsFunc(extra, func(r rune) bool { return r == '+' }) {
		version := fmt.Sprintf("%04d", len(names)+1+i)
		content := strings.ReplaceAll(ts.ReadFile(file), "OWN_VERSION", version)
		ts.Check(os.WriteFile(filepath.Join(folder, version+"_"+file), []byte(content), 0o600))
	}
	ts.Setenv("BUNDLE", folder)
}

// cmdState gives the script a database in one of the states of the state × mode
// table, as this program would meet it.
func cmdState(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	s.fresh(ts.Setenv)
	ts.Setenv("BUNDLE", "")
	ts.Setenv("POSTGRES_MIGRATOR_MODE", "RUN_AND_EXIT")
	migrated := func(release, damage string) {
		if release != "" {
			cmdRelease(ts, false, []string{release})
		}
		ts.Check(ts.Exec("avtotpy"))
		if damage != "" {
			pgtest.Exec(s.tb, s.db.SuperConn, damage)
		}
		ts.Setenv("BUNDLE", "")
	}
	switch args[0] {
	case "blank":
	case "behind":
		migrated("0.5", "")
	case "current":
		migrated("", "")
	case "ahead-compatible":
		migrated("1+add_colour.sql", "")
	case "ahead-incompatible":
		migrated("1+contract.sql", "")
	case "diverged":
		migrated("edited", "")
	case "ledger-lost":
		migrated("", "DROP TABLE avtotpy.migrations")
	default:
		ts.Fatalf("there is no state %q", args[0])
	}
}

// cmdMode starts the program in a mode and says how that has to end:
//
//	mode RUN ready REGEXP       it serves, /readyz answers 200, and its log matches
//	mode SKIP unready REGEXP    it serves, and /readyz and the page answer 503 with the reason
//	mode RUN exit 74 REGEXP     it exits with that code, and its last words match
func cmdMode(ts *testscript.TestScript, _ bool, args []string) {
	mode, end, rest := args[0], args[1], args[2:]
	ts.Setenv("POSTGRES_MIGRATOR_MODE", mode)
	p := startProgram(ts)
	switch end {
	case "exit":
		for p.metSlowDatabase() { // SKIP then serves, and exits for nothing that it finds later
			ts.Check(p.cmd.Process.Kill())
			p.wait(ts)
			p = startProgram(ts)
		}
		code := p.wait(ts)
		if want, _ := strconv.Atoi(rest[0]); code != want {
			ts.Fatalf("%s exited with %d, want %s:\n%s", mode, code, rest[0], p.output.String())
		}
		match(ts, p.output.String(), rest[1:])
		return
	case "ready":
		p.await(ts, http.StatusOK)
		match(ts, p.output.String(), rest)
	case "unready":
		match(ts, p.await(ts, http.StatusServiceUnavailable), rest)
		match(ts, awaitAnswer(ts, "/login", http.StatusServiceUnavailable, ""), rest)
		match(ts, p.output.String(), rest)
	default:
		ts.Fatalf("mode … ready, unready or exit, not %q", end)
	}
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	if code := p.wait(ts); code != 0 {
		ts.Fatalf("%s exited with %d after SIGTERM, want 0:\n%s", mode, code, p.output.String())
	}
}

func match(ts *testscript.TestScript, text string, patterns []string) {
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(text) {
			ts.Fatalf("no match for %q in:\n%s", p, text)
		}
	}
}

// A running is the program in the background.
type running struct {
	cmd    *exec.Cmd
	output *pgtest.Output
	exited chan struct{}
}

func startProgram(ts *testscript.TestScript) *running {
	p := &running{output: new(pgtest.Output), exited: make(chan struct{})}
	p.cmd = exec.CommandContext(context.Background(), "avtotpy")
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = p.output, p.output, ts.MkAbs(".")
	for _, name := range []string{
		"PATH", "HOME", "BUNDLE", "NO_EXEC", "PGPASSWORD", "AVTOTPY_HEALTH_ADDR", "AVTOTPY_DATA_DIR",
		"AVTOTPY_POSTGRES_BIN", "AVTOTPY_MASTER_KEY", "AVTOTPY_LISTEN_ADDR", "AVTOTPY_LOG_FORMAT",
		"POSTGRES_MIGRATOR_CONNECT_WAIT", "POSTGRES_MIGRATOR_MODE", "POSTGRES_MIGRATOR_BACKUP_DIR",
		"POSTGRES_MIGRATOR_CONNECTION_STR", "POSTGRES_CONNECTION_STR", "POSTGRES_MIGRATOR_CONNECTION_STR_FILE",
		"POSTGRES_CONNECTION_STR_FILE", "PGPASSFILE", "POSTGRES_MIGRATOR_UNPRIVILEGED_USER",
		"POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD",
	} {
		p.cmd.Env = append(p.cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(p.cmd.Start())
	go func() { _ = p.cmd.Wait(); close(p.exited) }() // the code is in ProcessState
	ts.Defer(func() { _ = p.cmd.Process.Kill(); <-p.exited })
	return p
}

func (p *running) wait(ts *testscript.TestScript) int {
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(pgtest.Patience):
		ts.Fatalf("the program goes on:\n%s", p.output.String())
		return 0
	}
}

// await polls /readyz until it answers with the status, and returns the answer.
func (p *running) await(ts *testscript.TestScript, want int) string {
	var body string
	err := pgtest.Poll("/readyz", func() error {
		var status int
		status, body = fetch(ts, "/readyz")
		if status == want && !isTooSlow(body) {
			return nil
		}
		select {
		case <-p.exited:
			ts.Fatalf("the program exited with %d:\n%s", p.cmd.ProcessState.ExitCode(), p.output.String())
		default:
		}
		return fmt.Errorf("it answers %d %s, want %d", status, body, want)
	})
	if err != nil {
		ts.Fatalf("%v:\n%s", err, p.output.String())
	}
	return body
}

// isTooSlow reports whether an answer says only that the machine is busy: the one that a script wants is still to come.
func isTooSlow(answer string) bool { return strings.Contains(answer, errSlow.Error()) }

// metSlowDatabase waits until the program has exited, or serves because the database was too slow to be looked at.
func (p *running) metSlowDatabase() (serves bool) {
	_ = pgtest.Poll("the program exits", func() error { // that it does neither is what wait reports
		select {
		case <-p.exited:
			return nil
		default:
			serves = isTooSlow(p.output.String())
			return pgtest.Unless(serves, "it goes on")
		}
	})
	return serves
}

// fetch gets a page of the program; the status is 0 when nobody listens.
func fetch(ts *testscript.TestScript, path string) (int, string) {
	if strings.HasPrefix(path, "/") {
		path = ts.Getenv("AVTOTPY_LISTEN_ADDR") + path
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+path, nil)
	ts.Check(err)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	return response.StatusCode, string(body)
}

// cmdPooler puts a pooler in transaction mode before the connections that are named:
// pooler migrator web
func cmdPooler(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	const serverConnections = 2
	pooled := pgtest.PgBouncer(s.tb, serverConnections,
		map[string]string{"migrator": s.db.MigratorConn, "web": s.db.WebConn})
	ts.Setenv("POSTGRES_MIGRATOR_CONNECTION_STR", s.db.MigratorConn)
	ts.Setenv("POSTGRES_CONNECTION_STR", s.db.WebConn)
	for _, which := range args {
		name := map[string]string{
			"migrator": "POSTGRES_MIGRATOR_CONNECTION_STR",
			"web":      "POSTGRES_CONNECTION_STR",
		}[which]
		ts.Setenv(name, pooled[which])
	}
}

// cmdInside starts the program in RUN, waits until it serves, and prints what anybody
// with the right can read about that very process: its command line and environment.
// Then it ends the program by SIGTERM.
func cmdInside(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Setenv("POSTGRES_MIGRATOR_MODE", "RUN")
	p := startProgram(ts)
	p.await(ts, http.StatusOK)
	for _, file := range []string{"cmdline", "environ"} {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
		ts.Check(err)
		_, err = fmt.Fprintln(ts.Stdout(), file+":", strings.ReplaceAll(string(content), "\x00", "\n"))
		ts.Check(err)
	}
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	if code := p.wait(ts); code != 0 {
		ts.Fatalf("exited with %d after SIGTERM, want 0:\n%s", code, p.output.String())
	}
	_, err := io.WriteString(ts.Stderr(), p.output.String())
	ts.Check(err)
}

// cmdExits runs a command and demands its exit code: exits 78 avtotpy help
func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exited with %d, want %d", code, want)
	}
}

// cmdPatiently runs a command that gives up after a time limit, and demands an exit code and
// a text that needs some time to find out. The limit grows until it is enough:
//
//	patiently 75 REGEXP avtotpy migrate status --wait=LIMIT
func cmdPatiently(ts *testscript.TestScript, _ bool, args []string) {
	pgtest.WithMoreTime(storyOf(ts).tb, 300*time.Millisecond, func(limit time.Duration) error {
		command := slices.Clone(args[2:])
		for i := range command {
			command[i] = strings.ReplaceAll(command[i], "LIMIT", limit.String())
		}
		cmdExits(ts, false, append(args[:1:1], command...))
		said := ts.ReadFile("stderr")
		return pgtest.Unless(regexp.MustCompile(args[1]).MatchString(said), "no match for %q in %s", args[1], said)
	})
}

// cmdGet demands a status of a path, or of host:port/path, waiting for it, and for a
// text in the answer if one is given: get /readyz 200. The status 0
// means that the port is closed.
func cmdGet(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	_, err = io.WriteString(ts.Stdout(), awaitAnswer(ts, args[0], want, strings.Join(args[2:], "")))
	ts.Check(err)
}

// awaitAnswer asks for a path until the answer has the status and holds the text, and returns it.
func awaitAnswer(ts *testscript.TestScript, path string, want int, text string) (body string) {
	ts.Check(pgtest.Poll(path, func() error {
		var status int
		status, body = fetch(ts, path)
		return pgtest.Unless(status == want && !isTooSlow(body) && strings.Contains(body, text),
			"it answers %d, want %d: %s", status, want, body)
	}))
	return body
}

// cmdSQL runs a query as the superuser, on the script's database, and prints the
// rows; with an expectation behind it, it waits until that is the answer.
func cmdSQL(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	var got string
	ts.Check(pgtest.Poll(args[0], func() error {
		got = query(ts, s.db, args[0])
		return pgtest.Unless(len(args) == 1 || got == args[len(args)-1], "got %s, want %s", got, args[len(args)-1])
	}))
	_, err := fmt.Fprintln(ts.Stdout(), got)
	ts.Check(err)
}

// cmdTestify makes the schema's comment agree with rows that the script wrote.
func cmdTestify(ts *testscript.TestScript, _ bool, _ []string) {
	s := storyOf(ts)
	pgtest.Exec(s.tb, s.db.SuperConn, pgtest.Testify(schema.Name))
}

// cmdHold runs a statement in a transaction that stays open until letgo: hold 'LOCK TABLE …'
func cmdHold(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.db.SuperConn)
	ts.Check(err)
	ts.Defer(func() { _ = conn.Close(ctx) })
	_, err = conn.Exec(ctx, "BEGIN; "+args[0])
	ts.Check(err)
	s.blocker = conn
}

func cmdLetGo(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(storyOf(ts).blocker.Close(context.Background()))
}

// cmdAppend adds a line to a file: append FILE TEXT
func cmdAppend(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ts.ReadFile(args[0])+args[1]+"\n"), 0o600))
}

func query(ts *testscript.TestScript, db *pgtest.DB, sql string) string {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, db.SuperConn)
	ts.Check(err)
	defer func() { _ = conn.Close(ctx) }()
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	ts.Check(err)
	var lines []string
	for _, result := range results {
		for _, row := range result.Rows {
			fields := make([]string, len(row))
			for i, f := range row {
				fields[i] = string(f)
			}
			lines = append(lines, strings.Join(fields, "|"))
		}
	}
	return strings.Join(lines, "\n")
}

// cmdReplicas starts n programs at once in RUN_AND_EXIT and prints all they say. With
// folders of bundles behind the number, the programs take turns in having them.
func cmdReplicas(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Setenv("POSTGRES_MIGRATOR_MODE", "RUN_AND_EXIT")
	all := make([]*running, n)
	for i := range all {
		if bundles := args[1:]; len(bundles) > 0 {
			ts.Setenv("BUNDLE", bundles[i%len(bundles)])
		}
		all[i] = startProgram(ts)
	}
	for _, p := range all {
		if code := p.wait(ts); code != 0 {
			ts.Fatalf("a replica exited with %d:\n%s", code, p.output.String())
		}
		_, err := io.WriteString(ts.Stdout(), p.output.String())
		ts.Check(err)
	}
}
