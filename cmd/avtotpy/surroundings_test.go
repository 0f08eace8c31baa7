package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// A surrounding is what a DBA or a platform has installed, and how a start takes it. In SQL and
// patterns %m is the migrator's role, %w the web server's, %d the database.
type surrounding struct {
	plant  string // run by a superuser
	role   bool   // the web server's role has to be there first: not for a blank database
	exit   int    // of a migration; -1 when it depends on the database: 0 where nothing is pending
	says   string // what its output has to match
	fix    string // what the message says, as far as SQL does not fix it; with exit other than 0
	verify int    // what verify says when the migration went through
	skip   string // why a healthy server in SKIP is not ready; "" when it is
	create string // the database is made anew with this, and is blank
	needs  string // a module of the server, which not each installation has
	blank  bool   // only for a blank database
	before int    // only for servers before this version: later ones refuse it
}

const platformRLS = `CREATE FUNCTION public.rls_auto_enable() RETURNS event_trigger
	LANGUAGE plpgsql SECURITY DEFINER AS $f$ DECLARE c record; BEGIN
	FOR c IN SELECT * FROM pg_event_trigger_ddl_commands()
		WHERE command_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO') AND object_type = 'table'
	LOOP EXECUTE format('ALTER TABLE IF EXISTS %s ENABLE ROW LEVEL SECURITY', c.object_identity); END LOOP; END $f$;
	CREATE EVENT TRIGGER ensure_rls ON ddl_command_end EXECUTE FUNCTION public.rls_auto_enable()`

func raises(event, tag, what string) string {
	return `CREATE FUNCTION public.guard() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN
		IF tg_tag LIKE '` + tag + `' THEN ` + what + `; END IF; END $f$;
	CREATE EVENT TRIGGER guard ON ` + event + ` EXECUTE FUNCTION public.guard()`
}

func surroundings() map[string]surrounding {
	const unguard = "ALTER EVENT TRIGGER guard DISABLE"
	return map[string]surrounding{
		"nothing": {},
		"sql_drop raises": {
			plant: raises("sql_drop", "%%", "RAISE 'nothing is dropped here'"), exit: -1,
			says: `"guard".*nothing is dropped here`, fix: unguard,
		},
		"table_rewrite raises": {plant: raises("table_rewrite", "%%", "RAISE 'no rewrites'")},
		"a trigger that minds comments": {
			plant: raises("ddl_command_start", "COMMENT", "RAISE 'no comment'"), exit: -1, says: `"guard".*no comment`,
			fix: unguard,
		},
		"a schema of another's": {
			blank: true, plant: "CREATE SCHEMA avtotpy", exit: 77,
			says: `ALTER SCHEMA "avtotpy" OWNER TO "%m"`, fix: "ALTER SCHEMA avtotpy OWNER TO %m",
		},
		"a schema of the migrator's": {blank: true, plant: "CREATE SCHEMA avtotpy AUTHORIZATION %m"},
		"a schema with another's work": {
			blank: true,
			plant: "CREATE SCHEMA avtotpy AUTHORIZATION %m; CREATE TABLE avtotpy.theirs ()", exit: 74, says: `holds`,
			fix: "DROP TABLE avtotpy.theirs",
		},
		"more in public": {plant: "CREATE TABLE public.users (id int); CREATE FUNCTION " +
			"public.clock_timestamp() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION public.now() RETURNS " +
			"int LANGUAGE sql AS 'SELECT 1'; ALTER DATABASE %d SET search_path = public, pg_catalog"},
		"plpgsql for nobody": {
			plant: "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC", exit: -1,
			says: `GRANT USAGE ON LANGUAGE "plpgsql" TO "%m"`, fix: "GRANT USAGE ON LANGUAGE plpgsql TO %m",
		},
		"a type for nobody": {
			plant: "REVOKE USAGE ON TYPE uuid FROM PUBLIC", exit: -1,
			says: `GRANT USAGE ON TYPE pg_catalog."uuid" TO "%m"`, fix: "GRANT USAGE ON TYPE uuid TO %m",
		},
		"no TEMPORARY for everybody": {plant: "REVOKE TEMPORARY ON DATABASE %d FROM PUBLIC"},
		"functions and types by default": {plant: "ALTER DEFAULT PRIVILEGES FOR ROLE %m GRANT ALL ON FUNCTIONS TO " +
			"PUBLIC; ALTER DEFAULT PRIVILEGES FOR ROLE %m REVOKE ALL ON TYPES FROM PUBLIC"},
		"schemas by default": {plant: "ALTER DEFAULT PRIVILEGES FOR ROLE %m GRANT ALL ON " +
			"SCHEMAS TO PUBLIC"},
		"no row security for the roles": {plant: "ALTER ROLE %m SET row_security = off; ALTER ROLE %w SET " +
			"row_security = off", role: true},
		"a migrator that inherits nothing": {plant: "ALTER ROLE %m NOINHERIT"},
		"the migrator is a member":         {plant: "GRANT %w TO %m", role: true},
		"the web role is a member": {
			before: 16, plant: "GRANT %m TO %w", role: true, exit: 77,
			says: `REVOKE "%m" FROM "%w"`, fix: "REVOKE %m FROM %w",
		},
		"passwords in MD5": {plant: "ALTER ROLE %m SET password_encryption = 'md5'; ALTER ROLE %w " +
			"SET password_encryption = 'md5'", role: true},
		"auto_explain": {
			needs: "auto_explain",
			plant: "ALTER DATABASE %d SET session_preload_libraries = 'auto_explain'; ALTER DATABASE %d SET " +
				"auto_explain.log_min_duration = 0; ALTER DATABASE %d SET auto_explain.log_analyze = on",
		},
		"LATIN1":    {create: "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"},
		"SQL_ASCII": {create: "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"},
		"ICU": {create: "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-AT' " +
			"LC_COLLATE 'C' LC_CTYPE 'C'"},
		"a policy": {
			plant: "CREATE POLICY open ON avtotpy.users USING (true)", role: true,
			verify: 74,
		},
		"a rule": {plant: "CREATE RULE quiet AS ON INSERT TO avtotpy.users DO " +
			"INSTEAD NOTHING", role: true, verify: 74},
		"row level security on each table": {plant: platformRLS, says: `ensure_rls|result=current`},
		"a trigger that talks": {plant: raises("ddl_command_end", "%%",
			"FOR i IN 1..200 LOOP RAISE NOTICE 'heard %%', tg_tag; END LOOP"), says: `the server says|result=current`},
		"a trigger that raises with a hint": {
			plant: raises("ddl_command_start", "CREATE TABLE",
				"RAISE 'frozen until Monday' USING HINT = 'Open a ticket.'"), exit: -1,
			says: `(?s)event trigger "guard".*frozen until Monday.*Open a ticket.*ALTER EVENT TRIGGER "guard" DISABLE`,
			fix:  unguard,
		},
		"a trigger that lacks a privilege": {
			plant: "CREATE TABLE public.ddl_log (tag text); " +
				raises("ddl_command_end", "CREATE%%", "INSERT INTO public.ddl_log VALUES (tg_tag)"), exit: -1,
			says: `(?s)"guard".*permission denied for table ddl_log.*SECURITY DEFINER`,
			fix:  "ALTER FUNCTION public.guard() SECURITY DEFINER",
		},
		"a trigger that minds grants": {
			plant: raises("ddl_command_end", "GRANT", "RAISE 'ask the platform'"), exit: -1,
			says: `"guard".*ask the platform`, fix: unguard,
		},
		"everything of ours for everybody": {
			plant: "ALTER DEFAULT PRIVILEGES FOR ROLE %m GRANT ALL ON TABLES TO PUBLIC; ALTER DEFAULT PRIVILEGES " +
				"FOR ROLE %m GRANT ALL ON SEQUENCES TO PUBLIC",
		},
		"everything of ours for the web role": {plant: "ALTER DEFAULT PRIVILEGES FOR ROLE %m GRANT ALL ON " +
			"TABLES TO %w", role: true},
		"tables for everybody, by hand": {plant: "GRANT ALL ON ALL TABLES IN SCHEMA avtotpy TO PUBLIC; GRANT " +
			"UPDATE (name) ON avtotpy.users TO PUBLIC", role: true},
		"a membership that writes all": {
			plant: "GRANT pg_write_all_data TO %w", role: true, exit: 77, says: `REVOKE "pg_write_all_data" FROM "%w"`,
			fix: `REVOKE pg_write_all_data FROM "%w"`,
		},
		"read-only by setting": {
			plant: "ALTER DATABASE %d SET default_transaction_read_only = on", exit: -1,
			says: `default_transaction_read_only is on .*ALTER DATABASE "%d" RESET`,
			fix:  "SET default_transaction_read_only = off; ALTER DATABASE %d RESET default_transaction_read_only",
			skip: "takes no changes",
		},
		"an expired password": {
			plant: "ALTER ROLE %w VALID UNTIL '2020-01-01'", role: true, exit: 77,
			says: `ALTER ROLE "%w" VALID UNTIL 'infinity'`, fix: "ALTER ROLE %w VALID UNTIL 'infinity'",
			skip: "password is wrong",
		},
		"no connections for the role": {
			plant: "ALTER ROLE %w CONNECTION LIMIT 0", role: true, exit: 77,
			says: `ALTER ROLE "%w" CONNECTION LIMIT -1`, fix: "ALTER ROLE %w CONNECTION LIMIT -1",
			skip: "lacks disk, memory or connections",
		},
		"no login": {
			plant: "ALTER ROLE %w NOLOGIN", role: true, exit: 77,
			says: `ALTER ROLE "%w" LOGIN`, fix: "ALTER ROLE %w LOGIN", skip: "does not let the web server in",
		},
		"one connection of the migrator": {plant: "ALTER ROLE %m CONNECTION LIMIT 1"},
		"another password": {
			plant: "ALTER ROLE %w PASSWORD 'other'; COMMENT ON ROLE %w IS NULL", role: true, exit: 77,
			says: `\\password "%w"`, fix: "ALTER ROLE %w PASSWORD 'test'", skip: "password is wrong",
		},
		"pg_roles for nobody": {
			plant: "REVOKE SELECT ON pg_roles FROM PUBLIC", exit: 77,
			says: `GRANT SELECT ON pg_catalog."pg_roles" TO "%m"`, fix: "GRANT SELECT ON pg_roles TO PUBLIC",
			skip: "lacks a privilege",
		},
		"version() for nobody": {
			plant: "REVOKE EXECUTE ON FUNCTION version() FROM PUBLIC", exit: 77,
			says: `(?s)GRANT EXECUTE ON FUNCTION.*"%m"`, fix: "GRANT EXECUTE ON FUNCTION version() TO PUBLIC",
			skip: "lacks a privilege",
		},
		"a tablespace that is not ours": {
			plant: "ALTER ROLE %m SET default_tablespace = pg_global", exit: -1,
			says: `GRANT CREATE ON TABLESPACE "pg_global" TO "%m"`, fix: "ALTER ROLE %m RESET default_tablespace",
		},
		"public for nobody": {plant: "REVOKE ALL ON SCHEMA public FROM PUBLIC"},
		"an extension in our schema": {plant: "CREATE FUNCTION avtotpy.of_an_extension() RETURNS int LANGUAGE sql " +
			"AS 'SELECT 1'", role: true, verify: 74},
		"no CONNECT for everybody": {plant: "REVOKE CONNECT ON DATABASE %d FROM PUBLIC; GRANT CONNECT ON " +
			"DATABASE %d TO %m WITH GRANT OPTION", skip: "lacks a privilege"},
		"no functions for everybody": {plant: "ALTER DEFAULT PRIVILEGES FOR ROLE %m REVOKE EXECUTE ON FUNCTIONS " +
			"FROM PUBLIC"},
		"row level security, by hand": {plant: "ALTER TABLE avtotpy.users ENABLE ROW LEVEL SECURITY, FORCE ROW " +
			"LEVEL SECURITY", role: true},
		"the ledger hidden": {plant: "ALTER TABLE avtotpy.migrations ENABLE ROW LEVEL SECURITY, FORCE ROW " +
			"LEVEL SECURITY", role: true, skip: "ledger is lost"},
	}
}

// TestSurroundings migrates a blank database, one of an older release and a healthy one in each
// surrounding; the healthy one in RUN, after a server in SKIP. Where that does not go through, the message says what
// does, and then it does. Afterwards the web server's role can do what is declared and nothing else, which is tried as
// that role and not read in the catalogue, and verify says the same.
func TestSurroundings(t *testing.T) {
	t.Parallel()
	for name, s := range surroundings() {
		for _, state := range []string{"blank", "behind", "healthy"} {
			if s.role && state == "blank" || (s.blank || s.create != "") && state != "blank" {
				continue
			}
			t.Run(name+", "+state, func(t *testing.T) {
				t.Parallel()
				p := newPlace(t)
				if version := pgtest.Value[int](t, p.db.SuperConn,
					"SELECT current_setting('server_version_num')::int / 10000"); s.before > 0 && version >= s.before {
					t.Skip("this server refuses it")
				}
				if s.needs != "" {
					if _, err := p.db.Connect(t, p.db.SuperConn).Exec(t.Context(), "LOAD '"+s.needs+"'"); err != nil {
						t.Skip("this PostgreSQL comes without the module: ", err)
					}
				}
				if s.create != "" {
					pgtest.Exec(t, p.db.SuperConn+" dbname=postgres", "DROP DATABASE "+p.db.Name, "CREATE DATABASE "+
						p.db.Name+" TEMPLATE template0 "+s.create, p.fill("GRANT CREATE ON DATABASE %d TO %m"))
				}
				mode := "RUN_AND_EXIT"
				switch state {
				case "behind":
					p.bundle = olderRelease(t)
					p.must(0, "RUN_AND_EXIT")
					p.bundle = ""
				case "healthy":
					p.must(0, "RUN_AND_EXIT")
					mode = "RUN"
				}
				p.exec(s.plant)
				if state == "healthy" {
					p.serves("SKIP", s.skip)
				}
				want := s.exit
				if want == -1 {
					want = exitPrivilege
					if strings.Contains(s.plant, "read_only") {
						want = exitUnreachable
					}
					if state == "healthy" {
						want = 0
					}
				}
				var output string
				switch {
				case mode == "RUN" && want == 0 && strings.Contains(s.plant, "read_only"):
					output = p.serves(mode, s.skip)
				case mode == "RUN" && want == 0:
					output = p.serves(mode, "")
				default:
					output = p.must(want, mode)
				}
				if says := p.fill(s.says); (want != 0 || s.exit == 0) && !regexp.MustCompile(says).MatchString(output) {
					t.Errorf("want %s in\n%s", says, output)
				}
				if want != 0 {
					p.agrees(false)
					p.execEach(s.fix)
					p.must(0, "RUN_AND_EXIT")
				}
				if strings.Contains(s.plant, "read_only") { // of which verify knows nothing
					p.execEach(s.fix)
				}
				if s.verify != 0 {
					p.must(s.verify, "", "migrate", "verify")
					return
				}
				p.agrees(true)
			})
		}
	}
}

// A place is a database and the environment of the program.
type place struct {
	*testing.T
	db     *pgtest.DB
	bundle string
	key    string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	return &place{T: t, db: pgtest.Blank(t), key: keyring.Generate("k1")}
}

func (p *place) fill(s string) string {
	return strings.NewReplacer("%m", p.db.Migrator(), "%w", p.db.WebRole, "%d", p.db.Name, "%%", "%").Replace(s)
}

func (p *place) exec(sql string) {
	p.Helper()
	if sql != "" {
		pgtest.Exec(p, p.db.SuperConn, p.fill(sql))
	}
}

// execEach runs statements one by one.
func (p *place) execEach(sql string) {
	p.Helper()
	pgtest.Exec(p, p.db.SuperConn, strings.Split(p.fill(sql), "; ")...)
}

// must runs the program and demands an exit code.
func (p *place) must(code int, mode string, args ...string) (output string) {
	p.Helper()
	got, output := p.run(mode, args...)
	if got != code {
		p.Errorf("avtotpy %s %s exited with %d, want %d:\n%s", mode, strings.Join(args, " "), got, code, output)
	}
	return output
}

// serves starts a server, demands that it becomes ready, or is not for a reason, and stops it.
func (p *place) serves(mode, unready string) (output string) {
	p.Helper()
	cmd, said := p.command(mode), new(pgtest.Output)
	address := pgtest.FreeAddress(p)
	cmd.Env = append(cmd.Env, "AVTOTPY_LISTEN_ADDR="+address)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }() // the code is in ProcessState
	err := pgtest.Poll("/readyz", func() error {
		select {
		case <-exited:
			return nil
		default:
		}
		request, err := http.NewRequestWithContext(p.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		wants := unready == "" && response.StatusCode == http.StatusOK || unready != "" &&
			response.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), unready)
		return pgtest.Unless(wants, "%d: %s", response.StatusCode, body)
	})
	if err == nil {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have exited
	} else {
		_ = cmd.Process.Kill()
	}
	<-exited
	if code := cmd.ProcessState.ExitCode(); err != nil || code != 0 {
		p.Errorf("avtotpy %s, with %q from /readyz: %v, exit code %d:\n%s", mode, unready, err, code, said)
	}
	return said.String()
}

func (p *place) run(mode string, args ...string) (code int, output string) {
	p.Helper()
	cmd := p.command(mode, args...)
	out, err := cmd.CombinedOutput()
	if exited, ok := err.(*exec.ExitError); err != nil && !ok { //nolint:errorlint // as exec documents it
		p.Fatalf("%v: %v", err, exited)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func (p *place) command(mode string, args ...string) *exec.Cmd {
	p.Helper()
	cmd := exec.CommandContext(p.Context(), "avtotpy", args...)
	cmd.Dir = p.TempDir()
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "BUNDLE=" + p.bundle, "AVTOTPY_MASTER_KEY=" + p.key,
		"AVTOTPY_LOG_FORMAT=text",
		"POSTGRES_MIGRATOR_MODE=" + mode, "POSTGRES_MIGRATOR_CONNECTION_STR=" + p.db.MigratorConn,
		"POSTGRES_CONNECTION_STR=" + p.db.WebConn,
		"POSTGRES_MIGRATOR_UNPRIVILEGED_USER=" + p.db.WebRole, "POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD=" +
			p.db.WebPassword,
	}
	return cmd
}

// agrees compares what verify says with what the role can do. fit demands that both find that
// all is as declared.
func (p *place) agrees(fit bool) {
	p.Helper()
	code, output := p.run("", "migrate", "verify")
	wrong := p.judge()
	// otherwise there may be more to say than what a role can try
	if says := code == 0; says != (len(wrong) == 0) && (says || fit) {
		p.Errorf("verify exits with %d:\n%s\nand the role, tried: %q", code, output, wrong)
	}
	if fit && len(wrong) > 0 {
		p.Errorf("the role, tried: %q", wrong)
	}
}

// judge tries as the web server's role, in transactions that are rolled back, each verb on each
// table, column, sequence and function of the schema, and lists what differs from what is
// declared. A policy that no migration made is tried, too: a read with row security off fails.
func (p *place) judge() (wrong []string) {
	p.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, p.db.WebConn)
	if err != nil {
		return []string{"it cannot log in"}
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "SET row_security = on"); err != nil { // as the web server does
		p.Fatal(err)
	}
	declared, secured := declaredVerbs()
	try := func(what, sql string) {
		may := p.try(ctx, conn, sql)
		if may != declared[what] {
			wrong = append(wrong, fmt.Sprintf("%s: %t", what, may))
		}
	}
	for _, c := range p.columns() {
		table := "avtotpy." + c.table
		column := pgx.Identifier{c.column}.Sanitize()
		try("SELECT "+c.table+"."+c.column, "SELECT "+column+" FROM "+table+" LIMIT 0")
		try("INSERT "+c.table+"."+c.column, "INSERT INTO "+table+" ("+column+
			") OVERRIDING SYSTEM VALUE SELECT NULL WHERE false")
		// which an identity takes, too
		try("UPDATE "+c.table+"."+c.column, "UPDATE "+table+" SET "+column+" = DEFAULT WHERE false")
		if !c.first {
			continue
		}
		try("DELETE "+c.table, "DELETE FROM "+table+" WHERE false")
		try("TRUNCATE "+c.table, "TRUNCATE "+table)
		if declared["SELECT "+c.table+"."+c.column] && !secured[c.table] &&
			!p.try(ctx, conn, "SET LOCAL row_security = off; SELECT FROM "+table) {
			wrong = append(wrong, "row level security hides rows of "+c.table)
		}
	}
	for _, f := range p.functions() {
		try("EXECUTE "+f, "SELECT avtotpy."+f)
	}
	// an event trigger may be against it before the server is
	if _, err := conn.Exec(ctx, "CREATE TABLE avtotpy.x ()"); err == nil {
		p.exec("DROP TABLE avtotpy.x")
		wrong = append(wrong, "it creates tables")
	}
	return wrong
}

// try reports whether the role may do something, whatever else there is against it.
func (p *place) try(ctx context.Context, conn *pgx.Conn, sql string) bool {
	p.Helper()
	_, err := conn.PgConn().Exec(ctx, "BEGIN; "+sql).ReadAll()
	if _, err := conn.PgConn().Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		p.Fatal(err)
	}
	refused, ok := err.(*pgconn.PgError) //nolint:errorlint // as ReadAll returns it
	if err != nil && !ok {
		p.Fatal(err)
	}
	return err == nil || refused.Code != "42501"
}

type columnOf struct {
	table, column string
	first         bool
}

func (p *place) columns() (all []columnOf) {
	p.Helper()
	rows, _ := p.db.Connect(p, p.db.SuperConn).Query(p.Context(), `
		SELECT relname, attname, row_number() OVER (PARTITION BY relname ORDER BY attnum) = 1
		FROM pg_class c JOIN pg_attribute ON attrelid = c.oid JOIN pg_namespace n ON n.oid = relnamespace
		WHERE nspname = 'avtotpy' AND relkind = 'r' AND attnum > 0 AND NOT attisdropped`)
	var c columnOf
	_, err := pgx.ForEachRow(rows, []any{&c.table, &c.column, &c.first},
		func() error { all = append(all, c); return nil })
	if err != nil {
		p.Fatal(err)
	}
	return all
}

func (p *place) functions() (all []string) {
	p.Helper()
	rows, _ := p.db.Connect(p, p.db.SuperConn).Query(p.Context(), `
		SELECT proname || '()' FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace
		WHERE nspname = 'avtotpy' AND pronargs = 0 AND prorettype <> 'trigger'::regtype`)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		p.Fatal(err)
	}
	return all
}

// declaredVerbs lists what the role is declared to do, by column, and the tables with policies.
func declaredVerbs() (may, secured map[string]bool) {
	may, secured = map[string]bool{}, map[string]bool{}
	ledger := privilege.Privilege{On: "TABLE migrations", Allow: "SELECT"}
	for _, p := range append(schema.Privileges(), ledger) {
		kind, name, _ := strings.Cut(p.On, " ")
		secured[name] = p.RowSecurity
		for _, verb := range regexp.MustCompile(`([A-Z]+)(?: \(([^)]*)\))?`).FindAllStringSubmatch(p.Allow, -1) {
			switch {
			case kind == "FUNCTION", verb[1] == "DELETE", verb[1] == "TRUNCATE":
				may[verb[1]+" "+name] = true
			case verb[2] == "":
				for _, column := range columnsIn(name) {
					may[verb[1]+" "+name+"."+column] = true
				}
			default:
				for column := range strings.SplitSeq(verb[2], ", ") {
					may[verb[1]+" "+name+"."+column] = true
				}
			}
		}
	}
	return may, secured
}

// columnsIn are the columns of a table in the last snapshot.
func columnsIn(table string) (columns []string) {
	if table == "migrations" {
		return []string{
			"version", "prev", "name", "checksum", "min_version", "applied_at", "duration", "applied_by",
			"app_version", "claimed_by_pid", "claimed_by_start", "rebuilt",
		}
	}
	bundle, err := schema.Load(schema.Files())
	if err != nil {
		panic(err) // the tests of the schema say more
	}
	snapshot, _ := bundle.Snapshot(bundle.Version())
	in := false
	for line := range strings.Lines(snapshot) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, " ") {
			in = line == "table "+table
		} else if column, ok := strings.CutPrefix(line, "  column "); in && ok {
			name, _, _ := strings.Cut(column, " ")
			columns = append(columns, name)
		}
	}
	return columns
}

// olderRelease is a folder with the first half of the migrations.
func olderRelease(t *testing.T) string {
	t.Helper()
	names, err := fs.Glob(schema.Files(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, name := range names[:len(names)/2] {
		content, err := fs.ReadFile(schema.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// TestTheJudgeSeesWhatIsWrong: a judge that finds nothing proves nothing.
func TestTheJudgeSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.must(0, "RUN_AND_EXIT")
	if wrong := p.judge(); len(wrong) > 0 {
		t.Fatalf("the role, tried: %q", wrong)
	}
	for plant, want := range map[string]string{
		"GRANT DELETE ON avtotpy.audit_log TO PUBLIC":              "DELETE audit_log: true",
		"GRANT TRUNCATE ON avtotpy.audit_log TO %w":                "TRUNCATE audit_log: true",
		"GRANT UPDATE (id) ON avtotpy.users TO PUBLIC":             "UPDATE users.id: true",
		"REVOKE SELECT ON avtotpy.sessions FROM %w":                "SELECT sessions.id: false",
		"ALTER TABLE avtotpy.users ENABLE ROW LEVEL SECURITY":      "row level security hides rows of users",
		"GRANT CREATE ON SCHEMA avtotpy TO PUBLIC":                 "it creates tables",
		"REVOKE EXECUTE ON FUNCTION avtotpy.acting_user() FROM %w": "EXECUTE acting_user(): false",
		"ALTER ROLE %w NOLOGIN":                                    "it cannot log in",
	} {
		p.exec(plant)
		if wrong := p.judge(); !slices.Contains(wrong, want) {
			t.Errorf("%s: the role, tried: %q; want %s", plant, wrong, want)
		}
		p.exec("ALTER ROLE %w LOGIN")
		p.must(0, "RUN_AND_EXIT")
	}
}
