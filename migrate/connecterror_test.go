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
	"math/big"
	"net"
	"os"
	"path/filepath"
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
		"CREATE ROLE nologin_"+id+" PASSWORD 'test'", "CREATE ROLE full_"+id+" LOGIN PASSWORD 'test' CONNECTION LIMIT 0",
		"CREATE ROLE old_"+id+" LOGIN PASSWORD 'test' VALID UNTIL '2001-01-01'",
		"CREATE DATABASE closed_"+id+" ALLOW_CONNECTIONS false", "CREATE DATABASE few_"+id+" CONNECTION LIMIT 0")
	t.Cleanup(func() {
		pgtest.Exec(t, db.SuperConn, "DROP DATABASE closed_"+id, "DROP DATABASE few_"+id, "DROP ROLE nologin_"+id, "DROP ROLE full_"+id, "DROP ROLE old_"+id)
	})
	pooled := pgtest.PgBouncer(t, 1, map[string]string{"p": db.MigratorConn})["p"]
	notPostgres, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = notPostgres.Close() })
	go func() {
		for {
			conn, err := notPostgres.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	closing := fmt.Sprintf("host=127.0.0.1 port=%d user=u dbname=d", notPostgres.Addr().(*net.TCPAddr).Port) //nolint:forcetypeassert // it is TCP
	for name, c := range map[string]struct {
		conn, want string
		waits      bool
	}{
		"no password":           {fmt.Sprintf("host=%s port=%d user=%s dbname=%s passfile=/dev/null", config.Host, config.Port, config.User, config.Database), "No password is given", false},
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
		"no such host":          {"host=nosuchhost.invalid user=u dbname=d", "heck the host's name", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, db, c.conn, c.want, c.waits)
		})
	}
}

// TestWhatAPoolerSaysIsUnderstood is about the words of PgBouncer 1.18 to 1.22, which gives all of them one code.
func TestWhatAPoolerSaysIsUnderstood(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	for says, c := range map[string]struct {
		want  string
		waits bool
	}{
		"SASL authentication failed":                         {"does not know this user: check its auth_file or auth_query", false},
		"password authentication failed":                     {"does not know this user: check its auth_file or auth_query", false},
		"no such user: u":                                    {"does not know this user: check its auth_file or auth_query", false},
		"no such database: d":                                {"The pooler does not know this database", false},
		"unsupported startup parameter: options":             {"ignore_startup_parameters", false},
		"bouncer config error":                               {"auth_query and auth_user", false},
		"SSL required":                                       {"The pooler demands TLS", false},
		"server login failed: FATAL password authentication": {"does not let the pooler in", false},
		"no more connections allowed (max_client_conn)":      {"max_client_conn", true},
		"client_login_timeout (server down)":                 {"the pooler reaches its server", true},
		"server login has been failing, try again later":     {"the pooler reaches its server", true},
		"pgbouncer cannot connect to server":                 {"the pooler reaches its server", true},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = listener.Close() })
			go answer(listener, says)
			refused(t, db, fmt.Sprintf("host=127.0.0.1 port=%d user=u dbname=d password=x sslmode=disable", listener.Addr().(*net.TCPAddr).Port), c.want, c.waits) //nolint:forcetypeassert // it is TCP
		})
	}
}

// answer refuses each client with an error of a pooler's.
func answer(listener net.Listener, says string) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		backend := pgproto3.NewBackend(conn, conn)
		if _, err := backend.ReceiveStartupMessage(); err == nil {
			backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01", Message: says})
			_ = backend.Flush()
		}
		_ = conn.Close()
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
		pgtest.Exec(t, db.SuperConn, "ALTER SYSTEM SET ssl_ca_file = 'root.crt'", "ALTER SYSTEM SET ssl = "+ssl, "SELECT pg_reload_conf()")
	}
	const all, withCert, onlyTLS = "host all all 0.0.0.0/0 scram-sha-256", "hostssl all all 0.0.0.0/0 scram-sha-256 clientcert=verify-ca", "hostssl all all 0.0.0.0/0 scram-sha-256"
	later := time.Now().Add(time.Hour)
	at := db.MigratorConn + " host=" + host
	for _, c := range []struct {
		name, ssl, hba, certificate string
		until                       time.Time
		conn, want                  string
	}{
		{"without TLS", "off", all, host, later, " sslmode=require", "The server has no TLS"},
		{"right", "on", all, host, later, " sslmode=verify-full sslrootcert=" + root, ""},
		{"unknown authority", "on", all, host, later, " sslmode=verify-full sslrootcert=" + wrongRoot, "an authority that is not trusted here"},
		{"unknown authority, verify-ca", "on", all, host, later, " sslmode=verify-ca sslrootcert=" + wrongRoot, "an authority that is not trusted here"},
		{"unknown authority of the system", "on", all, host, later, " sslmode=verify-full", "an authority that is not trusted here"},
		{"another name", "on", all, "db.example.com", later, " sslmode=verify-full sslrootcert=" + root, "is for other names than this host"},
		{"another name, not asked", "on", all, "db.example.com", later, " sslmode=verify-ca sslrootcert=" + root, ""},
		{"expired", "on", all, host, time.Now().Add(-time.Hour), " sslmode=verify-full sslrootcert=" + root, "has expired or is not valid yet"},
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
			case c.want == "" && refused, c.want != "" && (!refused || !connect.Refused() || !strings.Contains(got.Error(), c.want)):
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
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
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
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
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
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}
