// Package pgtest gives each test a PostgreSQL database of its own, on a real server.
//
// The server is started when the first test of a process asks for it, on a folder
// of its own, and is gone when the process ends. Connections are made as the roles
// that production uses: a migrator that is no superuser and owns nothing, and the
// web role that it makes.
//
// PGTEST_BIN or AVTOTPY_POSTGRES_BIN names the folder of the server's programs, to
// test with another version. Where there is no PostgreSQL, tests are skipped; with
// CI set, they fail.
package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// A DB is a database for one test. The connection strings are in the key=value
// form, so that " dbname=other" can be appended.
type DB struct {
	Name         string
	SuperConn    string // the cluster's superuser
	MigratorConn string // LOGIN, CREATEROLE, and CREATE on the database
	WebConn      string // works once the role exists
	WebRole      string
	WebPassword  string
}

// Main is a TestMain for packages whose tests use databases.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run runs the tests, stops the server and returns the exit code.
func Run(m *testing.M) int {
	defer shared.stop()
	return m.Run()
}

// Blank returns an empty database; the name of its web role is not taken yet.
func Blank(tb testing.TB) *DB {
	tb.Helper()
	s := shared.server(tb)
	id := strings.ToLower(rand.Text()[:10])
	db := s.database("test_"+id, "migrator_"+id, "web_"+id)
	s.exec(tb, "CREATE ROLE "+db.Migrator()+" LOGIN CREATEROLE PASSWORD '"+password+"'")
	s.create(tb, db, "template0")
	return db
}

// Migrated returns a database at the version of this release, a clone of one that
// was migrated once.
func Migrated(tb testing.TB) *DB {
	tb.Helper()
	s := shared.server(tb)
	template := s.template(tb)
	db := s.database("test_"+strings.ToLower(rand.Text()[:10]), template.Migrator(), template.WebRole)
	s.create(tb, db, template.Name)
	return db
}

// password is that of all roles: only this process can reach the server's socket.
const password = "test"

func (s *server) database(name, migrator, web string) *DB {
	return &DB{
		Name:         name,
		SuperConn:    s.SuperConn(name),
		MigratorConn: s.conn(migrator, name),
		WebConn:      s.conn(web, name),
		WebRole:      web,
		WebPassword:  password,
	}
}

// Migrator is the name of the migrator's role.
func (db *DB) Migrator() string {
	config, err := pgx.ParseConfig(db.MigratorConn)
	if err != nil {
		panic(err) // it was written by database
	}
	return config.User
}

func (s *server) create(tb testing.TB, db *DB, template string) {
	tb.Helper()
	s.exec(tb, "CREATE DATABASE "+db.Name+" TEMPLATE "+template, "GRANT CREATE ON DATABASE "+db.Name+" TO "+
		db.Migrator())
	tb.Cleanup(func() { s.exec(tb, "DROP DATABASE "+db.Name+" WITH (FORCE)") })
}

// migrateTemplate makes the database that Migrated clones.
func (s *server) migrateTemplate() (*DB, error) {
	ctx := context.Background()
	// the embedded server has made avtotpy_web
	db := s.database("avtotpy_template", "template_migrator", "template_web")
	super, err := pgx.Connect(ctx, s.SuperConn("postgres"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = super.Close(ctx) }()
	for _, sql := range []string{
		"CREATE ROLE " + db.Migrator() + " LOGIN CREATEROLE PASSWORD '" + password + "'",
		"CREATE DATABASE " + db.Name,
		"GRANT CREATE ON DATABASE " + db.Name + " TO " + db.Migrator(),
	} {
		if _, err := super.Exec(ctx, sql); err != nil {
			return nil, fmt.Errorf("%s: %w", sql, err)
		}
	}
	bundle, err := bundle.Load(schema.Files()) // without the snapshots, which tests write
	if err != nil {
		return nil, err
	}
	migrator := migrate.Migrator{
		Bundle: bundle, Schema: schema.Name, Program: "AVTotpy", Version: "test",
		Role: privilege.Role{Name: db.WebRole, Password: password, Privileges: schema.Privileges()},
	}
	_, err = migrator.Up(ctx, db.MigratorConn)
	return db, err
}

// Connect opens a connection that is closed when the test ends.
func (db *DB) Connect(tb testing.TB, connString string) *pgx.Conn {
	tb.Helper()
	conn := connect(tb, connString)
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func connect(tb testing.TB, connString string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(context.Background(), connString)
	if err != nil {
		tb.Fatal(err)
	}
	return conn
}

// WebPool opens connections of the web role, in the way that the program does.
func (db *DB) WebPool(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	config, err := pgxpool.ParseConfig(db.WebConn)
	if err != nil {
		tb.Fatal(err)
	}
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

// Exec runs statements over a connection of their own. The roles of the template are those of other tests' databases,
// too: what is set for one is set IN DATABASE.
func Exec(tb testing.TB, connString string, statements ...string) {
	tb.Helper()
	ctx := context.Background()
	conn := connect(tb, connString)
	defer func() { _ = conn.Close(ctx) }()
	for _, sql := range statements {
		if strings.HasPrefix(sql, "ALTER ROLE template_") && !strings.Contains(sql, " IN DATABASE ") {
			tb.Fatalf("%s: this role is that of other tests, too", sql)
		}
		if _, err := conn.Exec(ctx, sql); err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
	}
}

// Value returns the one value of a query.
func Value[T any](tb testing.TB, connString, sql string, args ...any) T {
	tb.Helper()
	ctx := context.Background()
	conn := connect(tb, connString)
	defer func() { _ = conn.Close(ctx) }()
	var value T
	if err := conn.QueryRow(ctx, sql, args...).Scan(&value); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	return value
}

// Testify is a statement that makes the second witness of a schema, its comment, agree
// with its ledger again after a test has written rows of a newer release.
func Testify(schema string) string {
	return strings.ReplaceAll(`DO $$ BEGIN EXECUTE (
		SELECT format('COMMENT ON SCHEMA $schema IS %L',
			'migrated to version ' || max(version) || ', history sha256:' ||
			encode(sha256(convert_to(string_agg(
				version || ' ' || name || ' ' || encode(checksum, 'hex') || ' ' || min_version || E'\n', ''
				ORDER BY version), 'UTF8')), 'hex'))
		FROM $schema.migrations); END $$`, "$schema", schema)
}
