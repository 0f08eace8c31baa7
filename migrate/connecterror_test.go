package migrate_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// TestARefusedConnectionSaysWhyAndWhatToDo lets servers and poolers refuse a connection in each way, and
// demands the cause, the next step and that nobody waits when waiting is no use.
func TestARefusedConnectionSaysWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	config, err := pgconn.ParseConfig(db.MigratorConn)
	if err != nil {
		t.Fatal(err)
	}
	id := db.Name
	pgtest.Exec(t, db.SuperConn,
		"CREATE ROLE nologin_"+id+" PASSWORD 'test'", "CREATE ROLE full_"+id+" LOGIN PASSWORD 'test' CONNECTION "+
			"LIMIT 0",
		"CREATE ROLE old_"+id+" LOGIN PASSWORD 'test' VALID UNTIL '2001-01-01'",
		"CREATE DATABASE closed_"+id+" ALLOW_CONNECTIONS false", "CREATE DATABASE few_"+id+" CONNECTION LIMIT 0")
	t.Cleanup(func() {
		pgtest.Exec(t, db.SuperConn, "DROP DATABASE closed_"+id, "DROP DATABASE few_"+id, "DROP ROLE nologin_"+id,
			"DROP ROLE full_"+id, "DROP ROLE old_"+id)
	})
	pooled := pgtest.PgBouncer(t, 1, map[string]string{"p": db.MigratorConn})["p"]
	closing := silentServer(t, func(net.Conn) {})
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, ".s.PGSQL.5432"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		conn, want string
		waits      bool
	}{
		"no password": {
			fmt.Sprintf("host=%s port=%d user=%s dbname=%s "+
				"passfile=/dev/null", config.Host, config.Port, config.User, config.Database), "No password is given",
			false,
		},
		"no such role":          {db.MigratorConn + " user=nobody_" + id, "Check the user and the password", false},
		"expired":               {db.MigratorConn + " user=old_" + id, "may also have expired", false},
		"may not log in":        {db.MigratorConn + " user=nologin_" + id, "ALTER ROLE … LOGIN", false},
		"no database":           {db.MigratorConn + " dbname=nowhere", "Create the database", false},
		"closed database":       {db.MigratorConn + " dbname=closed_" + id, "ALLOW_CONNECTIONS", false},
		"full database":         {db.MigratorConn + " dbname=few_" + id, "All connections of this database", true},
		"full role":             {db.MigratorConn + " user=full_" + id, "All connections of this role", true},
		"unknown to the pooler": {pooled + " dbname=nowhere", "The pooler does not know this database", false},
		"options":               {pooled + " options='-c statement_timeout=5s'", "does not take a parameter", false},
		"a run-time parameter":  {pooled + " lock_timeout=5s", "does not take a parameter", false},
		"no socket":             {"host=/nonexistent user=u dbname=d", "There is no socket", true},
		"nobody listens":        {"host=127.0.0.1 port=1 user=u dbname=d", "listens on this address", true},
		"it closes":             {closing, "closed the connection", true},
		"it closes at TLS":      {closing + " sslmode=require sslnegotiation=direct", "leave it out", true},
		"no server at a socket": {"host=" + folder + " user=u dbname=d", "no server listens on it", true},
		"a long path":           {"host=/" + strings.Repeat("x", 120) + " user=u dbname=d", "107 bytes", false},
		"no such interface":     {"host=fe80::1%nosuch0 user=u dbname=d", "cannot use the address", false},
		"another way to log in": {db.MigratorConn + " require_auth=md5", "make them agree", false},
		"no channel binding":    {db.MigratorConn + " channel_binding=require", "needs TLS and scram-sha-256", false},
		"console of the pooler": {pooled + " dbname=pgbouncer", "this is the console of PgBouncer", false},
		"two hosts":             {"host=127.0.0.1,/nonexistent port=1 user=u dbname=d", "refused; dial unix", true},
		"no such host":          {"host=nosuchhost.invalid user=u dbname=d", "heck the host's name", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, db, c.conn, c.want, c.waits)
		})
	}
}

// TestWhatAServerSaysIsUnderstood is about errors that tests cannot have of a real server soon: their codes and the
// routines of PostgreSQL's source, and the words of poolers and platforms, which give all of theirs one code (those of
// PgBouncer 1.18 to 1.22, PgCat, Odyssey, Supavisor).
func TestWhatAServerSaysIsUnderstood(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	const pooler = "08P01"
	for _, c := range []struct {
		code, says, routine, want string
		waits                     bool
	}{
		{pooler, "SASL authentication failed", "", "does not know this user", false},
		{pooler, "password authentication failed", "", "check its auth_file or auth_query", false},
		{pooler, "no such user: u", "", "does not know this user", false},
		{pooler, "no such database: d", "", "The pooler does not know this database", false},
		{pooler, "unsupported startup parameter: options", "", "ignore_startup_parameters", false},
		{pooler, "bouncer config error", "", "auth_query and auth_user", false},
		{pooler, "SSL required", "", "The pooler demands TLS", false},
		{pooler, "server login failed: FATAL password authentication", "", "does not let the pooler in", false},
		{pooler, `database "d" does not exist`, "", "into this database: check dbname", false},
		{pooler, "no pg_hba.conf entry for host", "", "and pg_hba.conf on the server", false},
		{pooler, "no more connections allowed (max_client_conn)", "", "max_client_conn", true},
		{pooler, "query_wait_timeout", "", "raise its pool size", true},
		{pooler, "client_login_timeout (server down)", "", "the pooler reaches its server", true},
		{pooler, "server login has been failing, try again later", "", "the pooler reaches its server", true},
		{pooler, "pgbouncer cannot connect to server", "", "the pooler reaches its server", true},
		{
			"58000", `No pool configured for database: "d", user: "u"`, "", "The pooler does not know this database",
			false,
		},
		{"08006", "odyssey: c1: route for d.u is not found", "", "The pooler does not know this database", false},
		{"XX000", "Tenant or user not found", "", "USER.PROJECT", false},
		{"XX000", "Max client connections reached", "", "All connections of the pooler", true},
		{"57P03", "das Datenbanksystem startet", "", "starting up or shutting down", true},
		{"57P01", "terminating connection", "ProcessInterrupts", "when it restarts", true},
		{"57P02", "terminating connection", "quickdie", "when it restarts", true},
		{"57P05", "terminating connection", "ProcessInterrupts", "SET idle_session_timeout = 0", true},
		{"25P03", "terminating connection", "ProcessInterrupts", "SET idle_in_transaction_session_timeout = 0", true},
		{"25P04", "terminating connection", "ProcessInterrupts", "SET transaction_timeout = 0", true},
		{"57P04", "database was removed", "", "Create the database", false},
		{"57014", "canceling authentication due to timeout", "", "authentication_timeout", true},
		{"53300", "sorry, too many clients already", "InitProcess", "max_connections", true},
		{"53100", "could not write init file", "", "The disk of the database server is full", true},
		{"53200", "out of memory", "", "no memory", true},
		{"53000", "could not fork new process", "", "no process left", true},
		{"28000", "LDAP authentication failed", "auth_failed", "what else pg_hba.conf demands", false},
		{"28000", "no pg_hba.conf entry", "ClientAuthentication", "what pg_hba.conf on the server allows", false},
		{"55000", "cannot connect to invalid database", "InitPostgres", "DROP DATABASE of this database", false},
		{"0A000", "unsupported frontend protocol", "ProcessStartupPacket", "PostgreSQL 15 or newer", false},
		{"P0001", "no logins at night", "exec_stmt_raise", "An event trigger on login", false},
		{"42883", "function f() does not exist", "ParseFuncOrColumn", "An event trigger on login", false},
	} {
		t.Run(c.code+" "+c.says, func(t *testing.T) {
			t.Parallel()
			refused(t, db, speaking(t, nil, &pgproto3.ErrorResponse{
				Severity: "FATAL", Code: c.code, Message: c.says, Routine: c.routine,
			}), c.want, c.waits)
		})
	}
	for _, c := range []struct{ code, says, routine, want string }{
		{"58030", "could not read block", "mdread", "cannot read its own files"},
		{"XX001", "invalid page", "PageIsVerifiedExtended", "cannot read its own files"},
		{"58P01", "no file", "mdopenfork", "cannot read its own files"},
		{
			"58P01", `could not access file "x": No such file or directory`, "internal_load_library",
			"names a library that the server does not have",
		},
	} {
		t.Run(c.code+" "+c.routine, func(t *testing.T) { // which nothing but a look at the server helps against
			t.Parallel()
			_, err := migrator(t, db, tables(1)...).Up(t.Context(), speaking(t, nil,
				&pgproto3.ErrorResponse{Severity: "FATAL", Code: c.code, Message: c.says, Routine: c.routine}))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// speaking plays a server that answers a login with some bytes and messages, and then ends the connection.
func speaking(t *testing.T, raw []byte, messages ...pgproto3.BackendMessage) (conn string) {
	t.Helper()
	return silentServer(t, func(c net.Conn) {
		server := pgproto3.NewBackend(c, c)
		if _, err := server.ReceiveStartupMessage(); err != nil {
			return
		}
		_, _ = c.Write(raw)
		for _, message := range messages {
			server.Send(message)
		}
		_ = server.Flush()
		_, _ = io.Copy(io.Discard, c) // until the client has read it
	}) + " password=x sslmode=disable"
}

// TestWhatIsNoPostgreSQLOfUseIsNamed: other programs that have the port, servers that demand another way to log in, and
// those that are not PostgreSQL or too old.
func TestWhatIsNoPostgreSQLOfUseIsNamed(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	other := func(first, answer string) string {
		return silentServer(t, func(c net.Conn) {
			_, _ = io.WriteString(c, first)
			if _, err := c.Read(make([]byte, 1024)); err == nil {
				_, _ = io.WriteString(c, answer)
			}
			_, _ = io.Copy(io.Discard, c)
		})
	}
	authentication := func(method byte, more string) []byte {
		return append([]byte{'R', 0, 0, 0, byte(8 + len(more)), 0, 0, 0, method}, more...)
	}
	says := func(name, value string) string {
		return speaking(t, nil, &pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{
			Name:  "server_version",
			Value: "14.1",
		},
			&pgproto3.ParameterStatus{Name: name, Value: value}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
	}
	const somethingElse, way = "Something else than a server of PostgreSQL", "a way to log in that this program " +
		"does not have"
	for name, c := range map[string]struct{ conn, want string }{
		"HTTP":           {other("", "HTTP/1.1 400 Bad Request\r\n\r\n") + " sslmode=disable", somethingElse},
		"HTTP, with TLS": {other("", "HTTP/1.1 400 Bad Request\r\n\r\n") + " sslmode=require", "There is no TLS"},
		"HTTP, perhaps":  {other("", "HTTP/1.1 400 Bad Request\r\n\r\n") + " sslmode=prefer", somethingElse},
		"SSH":            {other("SSH-2.0-OpenSSH_9.2\r\n", "") + " sslmode=disable", somethingElse},
		"SSH, with TLS": {
			other("SSH-2.0-OpenSSH_9.2\r\n", "") + " sslmode=require",
			"check that it is a server of PostgreSQL",
		},
		"MySQL":        {other("\x4a\x00\x00\x00\x0a8.0.33\x00abcdefgh", "") + " sslmode=disable", somethingElse},
		"Redis":        {other("", "-ERR Protocol error\r\n") + " sslmode=disable", somethingElse},
		"zeros":        {other("", strings.Repeat("\x00", 100)) + " sslmode=disable", somethingElse},
		"Kerberos":     {speaking(t, authentication(2, "")), way},
		"GSSAPI":       {speaking(t, authentication(7, "")), way},
		"SSPI":         {speaking(t, authentication(9, "")), way},
		"OAuth":        {speaking(t, authentication(10, "OAUTHBEARER\x00\x00")), way},
		"a new method": {speaking(t, authentication(77, "")), way},
		"an old protocol": {speaking(t, []byte("v\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00")) +
			" min_protocol_version=3.2", "Leave min_protocol_version"},
		"version 13":  {says("server_version", "13.4 (Debian 13.4-1)"), "this is PostgreSQL 13.4"},
		"version 14":  {says("server_version", "14beta1"), "this is PostgreSQL 14"},
		"CockroachDB": {says("crdb_version", "CockroachDB CCL v23"), "this is CockroachDB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, db, c.conn, c.want, false)
			_, err := askStatus(t.Context(), migrator(t, db, tables(1)...), c.conn)
			if err == nil || regexp.MustCompile(`%!|https://|length|message type|context`).MatchString(err.Error()) {
				t.Errorf("the message of status is %v", err)
			}
		})
	}
}

// refused demands an error with a next step. What does not get better is not waited for: the time to wait is so
// long that the test would fail by its own limit.
func refused(t *testing.T, db *pgtest.DB, conn, want string, waits bool) {
	t.Helper()
	m := migrator(t, db, tables(1)...)
	m.ConnectWait = time.Hour
	if waits {
		m.ConnectWait = 3 * time.Second // long enough for one attempt, of which each is refused at once
	}
	_, err := m.Up(t.Context(), conn)
	connect, ok := errors.AsType[*migrate.ConnectError](err)
	if !ok || !strings.Contains(err.Error(), want) || connect.Refused() == waits {
		t.Errorf("got  %v (refused: %v)\nwant %q", err, ok && connect.Refused(), want)
	}
}

// TestCertificateErrorsSayWhatIsWrongWithTheCertificate uses a server with TLS, whose certificate is made here.
func TestCertificateErrorsSayWhatIsWrongWithTheCertificate(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
	host := fmt.Sprintf("127.%d.%d.%d", 1+os.Getpid()%250, 1+os.Getpid()/250%250, 1+time.Now().Nanosecond()%250)
	db := pgtest.OwnServer(t, "listen_addresses="+host)
	cluster := filepath.Join(db.Folder, "data", "postgres")
	owner, err := os.Stat(cluster)
	if err != nil {
		t.Fatal(err)
	}
	client := t.TempDir()
	write := func(folder, name string, content []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if system, ok := owner.Sys().(*syscall.Stat_t); ok && folder == cluster {
			if err := os.Chown(path, int(system.Uid), int(system.Gid)); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	ours, another := newAuthority(t, "ours"), newAuthority(t, "another")
	write(cluster, "root.crt", ours.pem)
	root, wrongRoot := write(client, "root.crt", ours.pem), write(client, "other.crt", another.pem)
	cert, key := another.issue(t, time.Now().Add(time.Hour), "stranger")
	strange := " sslcert=" + write(client, "s.crt", cert) + " sslkey=" + write(client, "s.key", key)
	serve := func(ssl, hba, name string, until time.Time) {
		cert, key := ours.issue(t, until, name)
		write(cluster, "server.crt", cert)
		write(cluster, "server.key", key)
		write(cluster, "pg_hba.conf", []byte("local all all scram-sha-256\n"+hba+"\n"))
		pgtest.Exec(t, db.SuperConn, "ALTER SYSTEM SET ssl_ca_file = 'root.crt'", "ALTER SYSTEM SET ssl = "+ssl,
			"SELECT pg_reload_conf()")
	}
	const all, withCert, onlyTLS = "host all all 0.0.0.0/0 scram-sha-256", "hostssl all all 0.0.0.0/0 " +
		"scram-sha-256 clientcert=verify-ca", "hostssl all all 0.0.0.0/0 scram-sha-256"
	later := time.Now().Add(time.Hour)
	at := db.MigratorConn + " host=" + host
	for _, c := range []struct {
		name, ssl, hba, certificate string
		until                       time.Time
		conn, want                  string
	}{
		{"without TLS", "off", all, host, later, " sslmode=require", "There is no TLS"},
		{"right", "on", all, host, later, " sslmode=verify-full sslrootcert=" + root, ""},
		{
			"unknown authority", "on", all, host, later, " sslmode=verify-full sslrootcert=" + wrongRoot,
			"an authority that is not trusted here",
		},
		{
			"unknown authority, verify-ca", "on", all, host, later, " sslmode=verify-ca sslrootcert=" + wrongRoot,
			"an authority that is not trusted here",
		},
		{
			"unknown authority of the system", "on", all, host, later, " sslmode=verify-full",
			"an authority that is not trusted here",
		},
		{
			"another name", "on", all, "db.example.com", later, " sslmode=verify-full sslrootcert=" + root,
			"is for other names than this host",
		},
		{"another name, not asked", "on", all, "db.example.com", later, " sslmode=verify-ca sslrootcert=" + root, ""},
		{
			"expired", "on", all, host, time.Now().Add(-time.Hour), " sslmode=verify-full sslrootcert=" + root,
			"has expired or is not valid yet",
		},
		{"TLS demanded", "on", onlyTLS, host, later, " sslmode=disable", "it may demand TLS"},
		{"client certificate demanded", "on", withCert, host, later, " sslmode=require", "lient certificate"},
		{"client certificate of a stranger", "on", withCert, host, later, " sslmode=require" + strange, "lient"},
	} {
		serve(c.ssl, c.hba, c.certificate, c.until)
		var got error
		pgtest.Eventually(t, c.name, func() error { // the server reads its settings again when it comes to it
			m := migrator(t, db.DB, tables(1)...)
			m.ConnectWait = time.Hour
			_, got = m.Up(t.Context(), at+c.conn)
			connect, refused := errors.AsType[*migrate.ConnectError](got)
			switch {
			case c.want == "" && refused, c.want != "" && (!refused || !connect.Refused() ||
				!strings.Contains(got.Error(), c.want)):
				return fmt.Errorf("got %w, want %q", got, c.want)
			}
			return nil
		})
		t.Logf("%s: %v", c.name, got)
	}
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue returns a certificate for a host's name, and its key.
func (a authority) issue(t *testing.T, until time.Time, name string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{
			x509.ExtKeyUsageServerAuth,
			x509.ExtKeyUsageClientAuth,
		},
	}
	if address := net.ParseIP(name); address != nil {
		template.IPAddresses = []net.IP{address}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}
