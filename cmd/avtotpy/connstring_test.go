package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate/connstring"
)

// The two halves of the secret that brokenStrings plants; some strings have a character between them that has to be
// escaped. Neither half may be printed or logged anywhere.
const planted, plantedToo = "S3CRETaB", "zQ9TAIL"

// TestBrokenConnectionStringsShowNothing gives the real program strings that a grammar makes, in each mode, with the
// variables of libpq leading to a server, to a pooler and to nobody. It ends with 78 and prints nothing of the secret;
// nor do the server and the pooler log anything of it. With AVTOTPY_LONG=1 it tries more strings.
func TestBrokenConnectionStringsShowNothing(t *testing.T) {
	t.Parallel()
	count := 100
	if os.Getenv("AVTOTPY_LONG") != "" {
		count = 2500
	}
	db := pgtest.Migrated(t)
	server, err := pgx.ParseConfig(db.WebConn)
	if err != nil {
		t.Fatal(err)
	}
	pooled := pgtest.PgBouncer(t, 2, map[string]string{"web": db.WebConn})
	pooler, err := pgx.ParseConfig(pooled["web"])
	if err != nil {
		t.Fatal(err)
	}
	surroundings := map[string][]string{
		"server": {"PGHOST=" + server.Host, "PGPORT=" + strconv.Itoa(int(server.Port)), "PGDATABASE=" + db.Name},
		"pooler": {"PGHOST=" + pooler.Host, "PGPORT=" + strconv.Itoa(int(pooler.Port)), "PGDATABASE=web"},
		"nobody": {"PGHOST=127.0.0.1", "PGPORT=1"},
	}
	ways := [][]string{
		{"RUN"},
		{"RUN_AND_EXIT"},
		{"SKIP"},
		{"RUN", "migrate", "status", "--json"},
		{"RUN", "migrate", "plan", "--json"},
		{"RUN", "migrate", "verify", "--json"},
		{"RUN", "migrate", "repair", "--json"},
		{"RUN", "migrate", "rehearse", "--json"},
		{"RUN", "migrate", "status"},
		{"RUN", "migrate"},
	}
	key := keyring.Generate("k1")
	random := rand.New(rand.NewPCG(12, uint64(count)))
	type trial struct {
		conn, where string
		way         []string
		web, asJSON bool
	}
	trials := make(chan trial)
	go func() {
		defer close(trials)
		for i := range count {
			where := []string{"server", "pooler", "nobody"}[i%3]
			trials <- trial{brokenString(random), where, ways[i%len(ways)], random.IntN(2) == 0, random.IntN(2) == 0}
		}
	}()
	var mu sync.Mutex
	results := map[string]int{}
	try := func(c trial) {
		passes := connstring.Check(c.conn) == nil
		if passes { // it may be right after all: only that nothing is shown counts
			c.way = []string{"RUN", "migrate", "status", "--json"}
		}
		cmd := exec.CommandContext(t.Context(), "avtotpy", c.way[1:]...)
		format := map[bool]string{true: "json", false: "text"}[c.asJSON]
		broken, other, good := "POSTGRES_MIGRATOR_CONNECTION_STR", "POSTGRES_CONNECTION_STR", db.WebConn
		if c.web || c.way[0] == "SKIP" {
			broken, other, good = other, broken, db.MigratorConn
		}
		if passes {
			other = "UNUSED"
		}
		mode := c.way[0]
		if mode == "RUN_AND_EXIT" || len(c.way) > 1 && c.way[1] == "migrate" && len(c.way) == 2 {
			broken, other, good = "POSTGRES_MIGRATOR_CONNECTION_STR", "UNUSED", "" // the one that it reads
		}
		cmd.Env = append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "AVTOTPY_LOG_FORMAT=" + format,
			"AVTOTPY_LOG_LEVEL=debug", "POSTGRES_MIGRATOR_MODE=" + mode,
			broken + "=" + c.conn, other + "=" + good, "POSTGRES_MIGRATOR_UNPRIVILEGED_USER=" + db.WebRole,
			"POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD=test",
			"AVTOTPY_MASTER_KEY=" + key, "AVTOTPY_LISTEN_ADDR=127.0.0.1:0", "POSTGRES_MIGRATOR_CONNECT_WAIT=1ms",
		}, surroundings[c.where]...)
		var output bytes.Buffer
		cmd.Stdout, cmd.Stderr = &output, &output
		err := cmd.Run()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if err != nil && !ok {
			t.Errorf("%q: %v", c.conn, err)
			return
		}
		code := 0
		if ok {
			code = exit.ExitCode()
		}
		mu.Lock()
		results[fmt.Sprint(map[bool]string{true: "passes", false: "broken"}[passes], " ", code)]++
		mu.Unlock()
		if !passes && (code != exitSettings || !strings.Contains(output.String(), broken)) {
			t.Errorf("%q as %s, %v, %s: exit %d\n%s", c.conn, broken, c.way, c.where, code, output.String())
		}
		if showsPlanted(output.String()) {
			t.Errorf("%q as %s, %v, %s: shown in\n%s", c.conn, broken, c.way, c.where, output.String())
		}
	}
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for c := range trials {
				try(c)
			}
		})
	}
	workers.Wait()
	t.Logf("%d strings: %v", count, results)
	if results["broken 78"] < count*9/10 {
		t.Errorf("only %d of %d strings are broken", results["broken 78"], count)
	}
	log, err := os.ReadFile(pooled[pgtest.PoolerLog])
	if err != nil {
		t.Fatal(err)
	}
	if showsPlanted(pgtest.ServerLog(t)) || showsPlanted(string(log)) {
		t.Error("the log of the server or of the pooler shows the secret")
	}
}

func showsPlanted(text string) bool {
	return strings.Contains(text, planted) || strings.Contains(text, plantedToo)
}

// brokenString makes one string of a grammar of mistakes.
func brokenString(random *rand.Rand) string {
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	whole := planted + plantedToo
	split := planted + pick("@", "/", "#", "?", "%", " ", ":@", "/@", "%zz", "@@", "#/", "?=", "&x=y@", "\t", "\n",
		"=@") + plantedToo
	user, host, port, database := pick("u", "admin", "m_1"),
		pick("db", "db.example.com", "127.0.0.1", "localhost", "[::1]"), pick("", ":5432", ":6432"),
		pick("t0", "avtotpy", "")
	url := func(scheme, password, rest string) string {
		return scheme + user + ":" + password + "@" + host + port + "/" + database + rest
	}
	switch random.IntN(9) {
	case 0: // schemes of other drivers
		return url(pick("jdbc:postgresql://", "mysql://", "mariadb://", "postgresql+asyncpg://",
			"postgresql+psycopg2://", "POSTGRES://", "Postgres://", "postgre://", "postgress://",
			"pgsql://", "pg://", "psql://", "postgres:/", "postgres:", "postgres//", "//", "", "sqlserver://",
			"mongodb+srv://", "redis://", "http://", "https://", "odbc:", "ecto://", "tcp://",
			"DATABASE_URL=postgres://", "export DATABASE_URL=postgres://", "psql postgres://", "\"postgres://",
			"'postgres://", "<postgres://", "$", "“postgres://"),
			pick(whole, split), pick("", "?sslmode=require", "?x=1", "?sslmode=require&schema=public", `"`, "'"))
	case 1, 2: // characters that are not escaped
		return url(pick("postgres://", "postgresql://"), split, pick("", "?sslmode=require", "?connect_timeout=5"))
	case 3: // missing parts
		return pick("postgres://", "postgresql://") +
			pick(user+":"+whole, user+":"+whole+"/"+database, user+":"+whole+":5432/"+database, ":"+whole+":"+host,
				user+":p@"+host+":"+whole,
				user+":p@"+host+":"+whole+"/"+database, user+":p@["+whole+"/d", user+":p@h/d/"+whole, user+":p@h//"+
					whole,
				user+":p@h,,"+whole+"/d", user+":p@h?"+whole)
	case 4: // key=value of other worlds
		separator := pick(";", "; ", ",", ", ", "&", " ")
		names := [][]string{
			{"Host", "Username", "Password", "Database"},
			{"Server", "User Id", "Password", "Database"},
			{"Data Source", "UID", "PWD", "Initial Catalog"},
			{"host", "user", "pwd", "dbname"},
			{"HOST", "USER", "PASSWORD", "DBNAME"},
			{"hostname", "username", "pass", "db"},
			{"driver", "uid", "pwd", "database"},
		}[random.IntN(7)]
		return names[0] + "=h" + separator + names[1] + "=u" + separator + names[2] + "=" + pick(whole, split) +
			separator + names[3] + "=d"
	case 5: // pairs that are nearly right
		return pick("host=h user=u password="+planted+" "+plantedToo, "host=h password="+planted+" "+plantedToo+"=x",
			"host=h password='"+whole, "host=h password='"+planted+"'"+plantedToo+"'",
			`host=h password="`+planted+" "+plantedToo+`"`, "host= password="+whole, "user=u;password="+whole,
			"host=h,user=u,password="+whole, "password="+whole+";host=h", "host=h port="+whole,
			"host="+planted+"@"+plantedToo, "host=u:"+whole+"@h", "dbname=d?password="+whole, "dbname=postgres://u:"+
				whole+"@h/d", "host=h "+whole, whole, "password "+whole,
			"host=h\u00a0password="+whole, "\ufeffhost=h password="+whole, "host = h; password = "+whole,
			"host=[::1] password="+whole, "user='postgres://u:"+whole+"@h'")
	case 6: // names and values that are none
		return url("postgres://", whole, "?"+
			pick("pgbouncer=true", "schema=x", "currentSchema=x", "connection_limit=1", "sslmode=no-verify",
				"sslmode="+whole, whole+"=x", "x="+whole, "ssl="+whole,
				"options=-csearch_path%3D"+whole, "search_path="+whole, "connect_timeout="+whole,
				"target_session_attrs="+
					whole, "sslrootcert=/"+whole, "sslcert="+whole+"&sslkey="+whole,
				"passfile=/"+whole, "service="+whole, whole, "sslmode=require&"+whole, "channel_binding="+whole,
				"pool_max_conns="+whole, "default_query_exec_mode="+whole, "client_encoding="+whole,
				"require_auth="+whole, "krbsrvname=x&hostaddr="+whole, "keepalives="+whole, "host=h&port="+whole,
				"host="+
					planted+"%40"+plantedToo, "sslpassword="+whole+"&"+whole+"=1"))
	case 7: // white space and bytes that nobody sees
		return pick(" ", "\n", "\t", "\ufeff", "\u200b", "") +
			url("postgres://", pick(planted+"\u200b"+plantedToo, planted+" "+plantedToo, planted+"\u00a0"+plantedToo,
				planted+"\r\n"+plantedToo, planted+"\x01"+plantedToo), pick(" ", "\n", "", " #"))
	default: // an end that is cut off or doubled
		text := url(pick("postgres://", "postgresql://"), split, "?sslmode=require")
		if random.IntN(2) == 0 {
			return text + text
		}
		return text[:len("postgresql://")+random.IntN(len(text)-len("postgresql://"))] +
			pick("%", "[", "#", "@@", "?", "://")
	}
}
