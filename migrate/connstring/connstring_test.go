package connstring

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// secret stands for a password in the tables; no message may hold any part of it.
const secret = "S3CRET"

func noEnvironment(string) string { return "" }

// TestWhatIsNoConnectionStringIsRefusedWithoutRepeatingIt is a table of mistakes that people make.
func TestWhatIsNoConnectionStringIsRefusedWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	for bad, want := range map[string]string{
		// two values in one
		"postgres://u%3AS3CRET@h/t0":                  "role alone",
		"postgres://u;S3CRET@h/t0":                    "role alone",
		"postgres://u%3AS3CRET@h/t0?sslmode=require":  "role alone",
		"host=h user='u password=S3CRET' dbname=t0":   "role alone",
		"postgres://h/t0;password=S3CRET":             "database alone",
		"postgres://h/t0&password=S3CRET":             "database alone",
		"user=u dbname='host=h password=S3CRET'":      "database alone",
		"postgres://u@h/host%3Dh%20password%3DS3CRET": "database alone",

		// other schemes
		"jdbc:postgresql://u:S3CRET@db/t0?sslmode=require":          "something before the URL",
		"jdbc:postgresql://db/t0?user=u&password=S3CRET":            "something before the URL",
		"postgresql+asyncpg://u:S3CRET@db/t0":                       "SQLAlchemy",
		"postgres+psycopg2://u:S3CRET@db/t0":                        "SQLAlchemy",
		"POSTGRES://u:S3CRET@db/t0":                                 "capital letters",
		"Postgresql://u:S3CRET@db/t0":                               "capital letters",
		"mysql://u:S3CRET@h/t0?x=1":                                 "another database system",
		"mongodb+srv://u:S3CRET@h/t0?x=1":                           "another database system",
		"pgsql://u:S3CRET@h/t0":                                     "no scheme of PostgreSQL",
		"postgre://u:S3CRET@h/t0":                                   "neither a URL",
		"postgres:/u:S3CRET@h/t0":                                   "neither a URL",
		"postgres:u:S3CRET@h/t0?sslmode=require":                    "neither a URL",
		"postgres//u:S3CRET@h/t0":                                   "neither a URL",
		"//u:S3CRET@h/t0?a=b":                                       "neither a URL",
		"u:S3CRET@h/t0":                                             "neither a URL",
		"u:S3CRET@h/t0?sslmode=require":                             "neither a URL",
		"S3CRET":                                                    "neither a URL",
		"h:5432:t0:u:S3CRET":                                        "neither a URL",
		"DATABASE_URL=postgres://u:S3CRET@h/t0":                     "something before the URL",
		"psql postgres://u:S3CRET@h/t0":                             "something before the URL",
		"$S3CRET":                                                   "nothing has replaced",
		"${S3CRET}":                                                 "nothing has replaced",
		`"postgres://u:S3CRET@h/t0"`:                                "quotes around it",
		"'postgres://u:S3CRET@h/t0'":                                "quotes around it",
		"“postgres://u:S3CRET@h/t0”":                                "quotes around it",
		"<postgres://u:S3CRET@h/t0>":                                "quotes around it",
		" postgres://u:S3CRET@h/t0":                                 "begins with white space",
		"postgres://u:S3CRET@h/t0\n":                                "white space",
		"postgres://u:S3CRET@h/t0 ":                                 "white space",
		"postgres://u:S3 CRET@h/t0":                                 "white space",
		"\ufeffpostgres://u:S3CRET@h/t0":                            "byte order mark",
		"postgres://u:S3CRET\u200b@h/t0":                            "invisible",
		"postgres://u:S3CRET\u00a0@h/t0":                            "invisible",
		"postgres://u:S3\x00CRET@h/t0":                              "NUL",
		"host=h\u00a0password=S3CRET":                               "invisible",
		" \t\n":                                                     "nothing but white space",
		"host=h dbname=postgres://u:S3CRET@h/t0":                    "in quotes",
		"driver={PostgreSQL};server=h;uid=u;pwd=S3CRET":             ".NET or ODBC",
		"Data Source=h;Location=t0;User ID=u;password=S3CRET":       ".NET or ODBC",
		"Host=h;Username=u;Password=S3CRET":                         ".NET or ODBC",
		"Server=h;Port=5432;User Id=u;Password=S3CRET;Database=t0;": ".NET or ODBC",
		"host=h;user=u;password=S3CRET":                             "holds the next pair",
		"user=u;password=S3CRET":                                    "holds the next pair",
		"user=u, password=S3CRET, host=h":                           "holds the next pair",
		"user=u&password=S3CRET":                                    "holds the next pair",
		"password=S3CRET;host=h":                                    "holds the next pair",
		"password=S3CRET; host=h":                                   "holds the next pair",
		"host= user=u password=S3CRET":                              "holds the next pair",
		"user=u password= host=S3CRET":                              "holds the next pair",
		"tcp(h:3306)/t0?password=S3CRET":                            "neither a URL",
		"u:S3CRET@tcp(h:3306)/t0":                                   "neither a URL",
		"{\"host\":\"h\",\"password\":\"S3CRET\"}":                  "bracket",
		// characters that are not escaped
		"postgres://admin:12345/abcS3CRET@db.example.com:5432/t0": "%2F for /",
		"postgres://m:mi#g@p/wS3CRET@127.0.0.1:5432/avtotpy":      "%23 for #",
		"postgres://u:x@S3CRET@127.0.0.1/t0":                      "%40 for @",
		"postgres://u@S3CRET:x@127.0.0.1/t0":                      "%40 for @",
		"postgres://u:x?S3CRET@127.0.0.1/t0":                      "%3F for ?",
		"postgres://u:x?a=S3CRET@127.0.0.1/t0":                    "%3F for ?",
		"postgres://u:S3CRET%@127.0.0.1/t0":                       "%25 for %",
		"postgres://u:S3CRET%4@127.0.0.1/t0":                      "%25 for %",
		"postgres://u:S3CRET%zz@127.0.0.1/t0":                     "%25 for %",
		"postgres://u:S3CRET%00@127.0.0.1/t0":                     "%00",
		"postgres://[S3CRET:x/y@h/t0":                             "%2F for /",
		"postgres://u:S3CRET/t0":                                  "@ and the host are missing",
		"postgres://u:S3CRET":                                     "@ and the host are missing",
		"postgres://u:S3CRET:h:5432/t0":                           "@ and the host are missing",
		"postgres://u:p@h:S3CRET/t0":                              "port",
		"postgres://u:p@h:5432S3CRET/t0":                          "port",
		"postgres://u:p@h:0/t0":                                   "port",
		"postgres://u:p@h:65536/t0":                               "port",
		"postgres://u:p@h:+543/t0":                                "port",
		"postgres://u:p@h:543:2/t0":                               "port",
		"postgres://u:p@::1/t0":                                   "IPv6 address without [ ]",
		"postgres://u:p@2001:db8::1:5432/t0":                      "[ ]",
		"postgres://u:p@[::1/t0":                                  "[ without its ]",
		"postgres://u:p@[::1]5432/t0":                             "between ] and the port",
		"postgres://u:p@[h]/t0":                                   "not an IPv6",
		"postgres://u:p@[]/t0":                                    "not an IPv6",
		"postgres://u:p@h1,,h2/t0":                                "the host",
		"postgres://u:p@h1,h2:1,h3/t0?port=1,2":                   "2 ports for 3 hosts",
		"host=h1,h2 port=1,2,3 password=S3CRET":                   "3 ports for 2 hosts",
		"postgres://u:p@h;S3CRET/t0":                              "the host",
		"postgres://u:p@256.1.1.1/t0":                             "the host",
		"postgres://u:p@h%2CS3CRET/t0":                            "%2C",
		"postgres://u:p@h%40S3CRET/t0":                            "the host",
		"postgres://u:p@-h/t0":                                    "the host",
		"postgres://u:p@hö/t0":                                    "the host",
		"postgres://u:p@h/t0/S3CRET":                              "second /",
		"postgres://u:p@h/t0/":                                    "second /",
		"postgres://u:p@h/t0?a?b":                                 "second ?",
		"postgres://u:p@h/t0?":                                    "parameter no. 1",
		"postgres://u:p@h/t0?sslmode":                             "parameter no. 1",
		"postgres://u:p@h/t0?sslmode=require&":                    "parameter no. 2",
		"postgres://u:p@h/t0?sslmode=require&&a=b":                "parameter no. 2",
		"postgres://u:p@h/t0?password=a=S3CRET":                   "%3D",
		"postgres://u:p@h/t0?password=a&S3CRET=b":                 "parameter no. 2",
		// pairs
		"host=h password=two S3CRET user=u": "is not NAME=VALUE",
		"host=h password=two S3CRET":        "is not NAME=VALUE",
		"host=h password=two S3CRET=x":      "parameter no. 3",
		"host=h password='S3CRET":           "closing",
		"host=h password='it's S3CRET'":     "closing quote",
		`host=h password="two S3CRET" a=b`:  "double quotes",
		`password=S3CRET\`:                  `single \`,
		"host=h S3CRET":                     "is not NAME=VALUE",
		"host=[::1] password=S3CRET":        "(host)",
		"host=h:5432 password=S3CRET":       "(host)",
		"host=h port=S3CRET":                "(port)",
		"host=/tmp/x@S3CRET":                "(host)",
		"host=@/tmp/S3CRET":                 "(host)",
		"password=x host=u:S3CRET@h":        "(host)",
		"dbname=d?password=S3CRET":          "holds the next pair",
		"dbname='d?password=S3CRET'":        "(dbname)",
		"user='postgres://u:S3CRET@h'":      "(user)",
		"user='u\tS3CRET'":                  "(user)",
		"user=u:S3CRET host=h":              "in quotes",
		"user=u/S3CRET@h":                   "in quotes",
		"dbname=u:S3CRET@h:5432/d":          "in quotes",
		"PGPASSWORD=S3CRET psql -h h":       "has a name that is not",
		"postgres://u:S3CRET%40h:5432/d":    "@ and the host are missing",
		"postgres://S3CRET%40h/d":           "the host",
		// names and values
		"postgres://u:S3CRET@h/t0?pgbouncer=true":            "(pgbouncer) is not a parameter",
		"postgres://u:S3CRET@h/t0?schema=x":                  "(schema)",
		"postgres://u:S3CRET@h/t0?connection_limit=1":        "pool_max_conns",
		"postgres://u:S3CRET@h/t0?currentSchema=x":           "(currentSchema)",
		"postgres://u:S3CRET@h/t0?options=-csearch_path%3Dx": "(options)",
		"postgres://u:S3CRET@h/t0?options=-c%20role%3Dx":     "(options)",
		"postgres://u:S3CRET@h/t0?search_path=x":             "(search_path)",
		"postgres://u:S3CRET@h/t0?TimeZone=x":                "(TimeZone)",
		"postgres://u:S3CRET@h/t0?client_encoding=LATIN1":    "UTF8",
		"postgres://u:S3CRET@h/t0?sslmode=no-verify": "(sslmode) has a value that cannot be " +
			"used; write disable, allow",
		"postgres://u:S3CRET@h/t0?sslmode=":                                "(sslmode)",
		"postgres://u:S3CRET@h/t0?sslmode=verify_full":                     "(sslmode)",
		"postgres://u:S3CRET@h/t0?ssl=1":                                   "(ssl)",
		"postgres://u:S3CRET@h/t0?ssl=false":                               "(ssl)",
		"postgres://u:S3CRET@h/t0?SSLMODE=require":                         "small letters",
		"postgres://u:S3CRET@h/t0?hostaddr=1.2.3.4":                        "write the address as the host",
		"postgres://u:S3CRET@h/t0?keepalives=1":                            "libpq knows it",
		"postgres://u:S3CRET@h/t0?replication=database":                    "libpq knows it",
		"postgres://u:S3CRET@h/t0?min_read_buffer_size=1":                  "has a name that is not a parameter",
		"postgres://u:S3CRET@h/t0?connect_timeout=2s":                      "seconds",
		"postgres://u:S3CRET@h/t0?connect_timeout=-1":                      "seconds",
		"postgres://u:S3CRET@h/t0?connect_timeout=99999999":                "seconds",
		"postgres://u:S3CRET@h/t0?target_session_attrs=rw":                 "read-write",
		"postgres://u:S3CRET@h/t0?channel_binding=yes":                     "require",
		"postgres://u:S3CRET@h/t0?require_auth=scram":                      "scram-sha-256",
		"postgres://u:S3CRET@h/t0?require_auth=md5,!none":                  "scram-sha-256",
		"postgres://u:S3CRET@h/t0?sslnegotiation=fast":                     "direct",
		"postgres://u:S3CRET@h/t0?pool_max_conns=0":                        "(pool_max_conns)",
		"postgres://u:S3CRET@h/t0?pool_max_conn_lifetime=1":                "duration",
		"postgres://u:S3CRET@h/t0?pool_size=1":                             "pool_max_conns",
		"postgres://u:S3CRET@h/t0?statement_timeout=soon":                  "milliseconds",
		"postgres://u:S3CRET@h/t0?default_query_exec_mode=x":               "cache_describe",
		"postgres://u:S3CRET@h/t0?default_query_exec_mode=cache_statement": "write cache_describe, describe_exec",
		"postgres://u:S3CRET@h/t0?sslrootcert=/no/S3CRET":                  "no such file",
		"postgres://u:S3CRET@h/t0?sslcert=/no/S3CRET":                      "set both sslcert and sslkey",
		"postgres://u:S3CRET@h/t0?sslcert=/S3&sslkey=/CRET":                "no such file",
		"postgres://u:S3CRET@h/t0?passfile=/no/S3CRET":                     "no such file",
		"postgres://u:S3CRET@h/t0?service=S3CRET":                          "service file cannot be read",
	} {
		_, err := read(bad, noEnvironment)
		problem, ok := errors.AsType[*Error](err)
		switch {
		case !ok:
			t.Errorf("%q: got %v, want an Error", bad, err)
		case !strings.Contains(err.Error(), want):
			t.Errorf("%q:\ngot  %v\nwant %s", bad, err, want)
		case regexp.MustCompile(`S3|CRET`).MatchString(err.Error()):
			t.Errorf("%q: shown in %v", bad, err)
		case problem.Next == "":
			t.Errorf("%q: %v has no next step", bad, err)
		}
	}
}

// TestWhatCompletesAStringIsCheckedToo is about the environment and service files.
func TestWhatCompletesAStringIsCheckedToo(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "services")
	services := "# mine\n[good]\nhost=h2\nport=6543\ndbname=d2\n[bad]\nhost=S3CRET@h\n[name]\nS3CRET=x\n[other]\nsearch_path=x\n"
	if err := os.WriteFile(file, []byte(services), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ conn, environ, want string }{
		{"user=u", "PGHOST=h;PGPORT=S3CRET", "PGPORT in the environment"},
		{"user=u", "PGHOST=u:S3CRET@h", "PGHOST in the environment"},
		{"user=u port=1", "PGPORT=S3CRET", ""},
		{"postgres://h1,h2/d", "PGPORT=1,2,3", ""},
		{"host=h1,h2", "PGPORT=1,2,3", "PGPORT in the environment lists 3 ports for 2 hosts"},
		{"host=h", "PGUSER=u:S3CRET", "PGUSER in the environment holds :"},
		{"host=h", "PGUSER=u:v;PGPASSWORD=p", ""},
		{"user=u", "PGSSLMODE=no-verify", "PGSSLMODE in the environment"},
		{"user=u", "PGOPTIONS=-c search_path=S3CRET", "PGOPTIONS in the environment"},
		{"user=u", "PGOPTIONS=-c statement_timeout=5s", ""},
		{"user=u", "PGTARGETSESSIONATTRS=S3CRET", "PGTARGETSESSIONATTRS in the environment"},
		{"user=u", "PGSSLROOTCERT=/no/S3CRET;PGHOST=h", "PGSSLROOTCERT in the environment names a file"},
		{
			"user=u", "PGSERVICE=nosuch;PGSERVICEFILE=" + file,
			"PGSERVICE in the environment names a service that the service file does not hold",
		},
		{"user=u", "PGSERVICE=good;PGSERVICEFILE=/no/S3CRET", "service file cannot be read"},
		{"user=u", "PGSERVICE=good;PGSERVICEFILE=" + file, ""},
		{"service=bad", "PGSERVICEFILE=" + file, "line 7 of the service file (host)"},
		{"service=name", "PGSERVICEFILE=" + file, "line 9 of the service file has a name"},
		{"service=other", "PGSERVICEFILE=" + file, "line 11 of the service file (search_path)"},
		{"user=u", "PGPASSFILE=/no/such", ""}, // libpq takes none for none
	} {
		environ := map[string]string{}
		for entry := range strings.SplitSeq(test.environ, ";") {
			name, value, _ := strings.Cut(entry, "=")
			environ[name] = value
		}
		_, err := read(test.conn, func(name string) string { return environ[name] })
		got := ""
		if err != nil {
			got = err.Error()
		}
		if (test.want == "") != (got == "") || !strings.Contains(got, test.want) ||
			regexp.MustCompile(`S3|CRET`).MatchString(got) {
			t.Errorf("%q with %s: got %q, want %q", test.conn, test.environ, got, test.want)
		}
	}
}

// TestAParameterIsFoundWhereItIsNamedAndNowhereElse uses the environment, so it is not parallel.
func TestAParameterIsFoundWhereItIsNamedAndNowhereElse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(file, []byte("[any]\ntarget_session_attrs=any\n[none]\nhost=h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGSERVICEFILE", file)
	for conn, want := range map[string]string{
		"postgres://u:p@h/d":                                             "",
		"postgres://u:target_session_attrs%3Dany@h/d":                    "",
		"postgres://u:p@h/d?application_name=target_session_attrs%3Dany": "",
		"host=h password='target_session_attrs=any'":                     "",
		"host=h password=target_session_attrs":                           "",
		"host=h service=none":                                            "",
		"host=h service=any":                                             "any",
		"host=h service=any target_session_attrs=primary":                "primary",
		"postgres://u:p@h/d?service=any":                                 "any",
		"postgres://u:p@h/d?target_session_attrs=read-write":             "read-write",
		"postgres://u:p@h/d?target%5Fsession%5Fattrs=standby":            "standby",
		"host=h target_session_attrs = 'prefer\\-standby'":               "prefer-standby",
		"host=h target_session_attrs=any target_session_attrs=primary":   "primary",
	} {
		if got, named := Parameter(conn, "target_session_attrs"); got != want || named != (want != "") {
			t.Errorf("%s: got %q, %t, want %q; Check says %v", conn, got, named, want, Check(conn))
		}
	}
	t.Setenv("PGTARGETSESSIONATTRS", "any")
	if got, named := Parameter("host=h", "target_session_attrs"); got != "any" || !named {
		t.Errorf("in the environment: got %q, %t", got, named)
	}
}

// TestEveryNameIsOneThatADriverTakes compares the table of names with what pgx makes of each: nothing but the run-time
// parameters of the table may reach a server.
func TestEveryNameIsOneThatADriverTakes(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"host": "h", "port": "1", "connect_timeout": "5", "sslmode": "require", "sslnegotiation": "direct",
		"sslcertmode": "allow", "sslsni": "1", "channel_binding": "prefer",
		"require_auth": "md5", "target_session_attrs": "any", "min_protocol_version": "3.0",
		"max_protocol_version": "3.2", "default_query_exec_mode": "exec",
		"client_encoding": "UTF8", "options": "-c statement_timeout=5s", "statement_cache_capacity": "1",
		"description_cache_capacity": "1",
		"passfile":                   os.DevNull, "service": "", "sslcert": "", "sslkey": "", "sslrootcert": "",
	}
	for name, check := range parameters() {
		value, ok := values[name]
		switch {
		case ok:
		case strings.HasPrefix(name, "pool_") && strings.HasSuffix(name, "conns"), runtime(name):
			value = "1"
		case strings.HasPrefix(name, "pool_"):
			value = "1s"
		default:
			value = "x"
		}
		if value == "" { // a file, or a service in one
			continue
		}
		if expected := check(value); expected != "" {
			t.Errorf("%s=%s: expected %s", name, value, expected)
			continue
		}
		pool, err := pgxpool.ParseConfig(name + "='" + value + "' user=u host=h")
		if err != nil {
			t.Errorf("pgx does not take %s=%s: %v", name, value, err)
			continue
		}
		_, sent := pool.ConnConfig.RuntimeParams[name]
		if want := runtime(name) || name == "application_name" || name == "client_encoding" ||
			name == "options"; sent != want {
			t.Errorf("%s: sent to the server: %v, want %v", name, sent, want)
		}
	}
	for name := range strings.FieldsSeq(libpq) {
		_, taken := parameters()[canonical(name)]
		_, refused := foreignNames()[name]
		if !taken && !refused {
			t.Errorf("libpq's %s is in none of the tables", name)
		}
	}
}

// libpq are the keywords of PQconninfoOptions of PostgreSQL 15 to 18, as facts
// (https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-PARAMKEYWORDS).
const libpq = `service servicefile user password passfile channel_binding connect_timeout dbname host hostaddr port client_encoding options application_name
	fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout sslmode sslnegotiation sslcompression
	sslcert sslkey sslcertmode sslpassword sslrootcert sslcrl sslcrldir sslsni requirepeer require_auth min_protocol_version max_protocol_version
	ssl_min_protocol_version ssl_max_protocol_version gssencmode krbsrvname gsslib gssdelegation replication target_session_attrs load_balance_hosts
	scram_client_key scram_server_key oauth_issuer oauth_client_id oauth_client_secret oauth_scope sslkeylogfile`

// TestWhatPassesIsReadByPgxInTheSameWay builds strings that are valid by the grammar, of parts with odd characters in
// their escaped forms. AVTOTPY_LONG makes more of them.
func TestWhatPassesIsReadByPgxInTheSameWay(t *testing.T) {
	t.Parallel()
	rounds := 300
	if os.Getenv("AVTOTPY_LONG") != "" {
		rounds = 20_000
	}
	random := rand.New(rand.NewPCG(12, uint64(rounds)))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	odd := func() string {
		var b strings.Builder
		for range 1 + random.IntN(8) {
			b.WriteString(pick("a", "Z", "0", "@", "/", ":", "#", "?", "%", "[", "]", " ", "'", `"`, `\`, ";", "=",
				"&", ",", "ü", "\t", "$", "+", "{", "€", "~"))
		}
		return b.String()
	}
	for range rounds {
		user, password, database := strings.Trim(odd(), "\t"), odd(), strings.Map(plain, odd())
		if user == "" || database == "" || checkUser(user) != "" || checkDatabase(database) != "" {
			continue
		}
		host, port := pick("h", "db.example.com", "127.0.0.1", "::1", "2001:db8::1", "/run/postgresql", "h_1"),
			pick("1", "5432", "65535")
		url := pick("postgres://", "postgresql://") + escape(user, random) + ":" + escape(password, random) + "@" +
			inURL(host) + ":" + port + "/" + escape(database, random)
		pairs := []string{
			pair("host", host, random), pair("port", port, random), pair("user", user, random),
			pair("password", password, random), pair(pick("dbname", "database"), database, random),
		}
		random.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
		for _, conn := range []string{
			url, url +
				pick("?sslmode=require", "?ssl=true", "?connect_timeout=2&application_name=a%26b", ""),
			strings.Join(pairs, pick(" ", "  ", "\n")),
		} {
			ours, err := read(conn, noEnvironment)
			if err != nil {
				t.Fatalf("%q: %v", conn, err)
			}
			theirs, err := pgx.ParseConfig(conn)
			if err != nil {
				t.Fatalf("%q: pgx: %v", conn, err)
			}
			want := fmt.Sprintf("%q %q %q %q %q", host, port, user, password, database)
			for who, got := range map[string]string{
				"Check": fmt.Sprintf("%q %q %q %q %q", ours["host"].value, ours["port"].value, ours["user"].value,
					ours["password"].value, ours["dbname"].value),
				"pgx": fmt.Sprintf("%q %q %q %q %q", theirs.Host, strconv.Itoa(int(theirs.Port)), theirs.User,
					theirs.Password, theirs.Database),
			} {
				if got != want {
					t.Fatalf("%q: %s reads\n%s, want\n%s", conn, who, got, want)
				}
			}
		}
	}
}

// plain leaves out what the name of a database may not hold.
func plain(r rune) rune {
	if strings.ContainsRune("@?\t", r) {
		return -1
	}
	return r
}

func inURL(host string) string {
	switch {
	case strings.Contains(host, ":"):
		return "[" + host + "]"
	case strings.HasPrefix(host, "/"):
		return strings.ReplaceAll(host, "/", "%2F")
	}
	return host
}

// escape encodes what has to be, and at random what need not.
func escape(text string, random *rand.Rand) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if strings.IndexByte("@/:#?%[] \t&=", c) >= 0 || random.IntN(8) == 0 {
			fmt.Fprintf(&b, "%%%02"+string("xX"[random.IntN(2)]), c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// pair writes a pair with quotes, and at random without them where that has one meaning.
func pair(name, value string, random *rand.Rand) string {
	equals := []string{"=", " = ", "= "}[random.IntN(3)]
	if random.IntN(2) == 0 && value != "" && !strings.ContainsAny(value, blanks+`'"\;=,&:/`) {
		return name + equals + value
	}
	return name + equals + "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// FuzzCheck makes sure that what passes is taken by pgx, and that no message holds what was planted.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		"postgres://u:S3CRET@h:1/d?sslmode=require", "host=h password='S3CRET' user=u",
		"jdbc:postgresql://h/d?a=S3CRET",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, conn string) {
		_, err := read(conn, noEnvironment)
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Fatalf("%q: shown in %v", conn, err)
			}
			return
		}
		if strings.Contains(conn, "service") || strings.Contains(conn, "ssl") {
			return // files and combinations
		}
		if _, err := pgx.ParseConfig(conn); err != nil {
			t.Fatalf("%q passes, and pgx does not take it: %v", conn, err)
		}
	})
}

// TestAnotherDatabaseOfTheSameServer is the only thing that changes.
func TestAnotherDatabaseOfTheSameServer(t *testing.T) {
	t.Parallel()
	for _, conn := range []string{
		"postgres://u:p@h:6543/d1", "postgresql://u:p@h:6543/d1?sslmode=disable", "postgres://u:p@h:6543?dbname=d1",
		"postgres://u:p@h:6543", "host=h port=6543 user=u password='p' dbname='d 1'",
		"host=h dbname=d1 port=6543 user=u password=p", "host=h port=6543 user=u password=p",
	} {
		config, err := ParseConfig(WithDatabase(conn, "d2_x"))
		if err != nil {
			t.Errorf("%s: %v", conn, err)
			continue
		}
		got := fmt.Sprint(config.Host, config.Port, config.User, config.Password, config.Database)
		if want := fmt.Sprint("h", 6543, "u", "p", "d2_x"); got != want {
			t.Errorf("%s: got %s, want %s", conn, got, want)
		}
	}
}
