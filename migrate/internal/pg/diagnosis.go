package pg

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/redact"
)

// ConnectDenied is the error of a role that the server knows and still does not let in:
// for want of CONNECT, or because of a setting in the connection string. The words of the
// server may be in any language; the place in its source is not.
func ConnectDenied(c *pgconn.Config, err *pgconn.PgError) error {
	database := cmp.Or(c.Database, c.User)
	lacks := &PrivilegeError{
		Lacks: fmt.Sprintf("the server does not let %q into the database %q: %s", c.User, database, err.Message),
	}
	if err.Routine == "CheckMyDatabase" {
		lacks.SQL = []string{"GRANT CONNECT ON DATABASE " + sqltext.QuoteName(database) + " TO " +
			sqltext.QuoteName(c.User)}
	}
	return lacks
}

// IsTemporary distinguishes a server that is not there yet from one that says no.
func IsTemporary(err error) bool { return Diagnose(err).passes }

// RefusedForGood reports whether a pooler ended a connection because of what it never does.
func RefusedForGood(lost *ConnLostError) bool {
	return SQLState(lost.Err) == ProtocolViolation && !IsTemporary(lost.Err)
}

// onlyStandbys reports whether the hosts answer, and none is a primary: a failover may be
// under way.
func onlyStandbys(err error) bool {
	return errors.Is(err, pgconn.ErrStandbyConnection) || errors.Is(err, pgconn.ErrReadOnlyConnection)
}

// A Diagnosis is what a failure to connect means.
type Diagnosis struct {
	passes   bool   // trying again may help
	Settings bool   // something has to be set right, here or on the server, and then it works
	Next     string // what the operator can do
}

func wrong(next string) Diagnosis { return Diagnosis{Settings: true, Next: next} }

func passes(next string) Diagnosis { return Diagnosis{passes: true, Next: next} }

// States with which servers refuse a connection.

// Diagnose looks through all that wraps an error. Of several hosts, and of the attempts with and without TLS, the first
// that answered decides.
func Diagnose(err error) Diagnosis {
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		return diagnoseAnswer(refusal)
	}
	if other, ok := errors.AsType[*wrongServerError](err); ok {
		return wrong(other.next)
	}
	err = errors.Join(attempts(err)...)
	if _, next := driverSays(err.Error()); next != "" {
		return wrong(next)
	}
	if next := diagnoseQuestions(err); next != "" {
		return passes(next)
	}
	if onlyStandbys(err) {
		return passes("Of the hosts that answer none is a primary, which migrations need; see whether a failover " +
			"is under way")
	}
	if next := diagnoseTLS(err); next != "" {
		return wrong(next + " (docs/tls.md)")
	}
	unknown, notFound := errors.AsType[*net.DNSError](err)
	_, network := errors.AsType[net.Error](err)
	_, silent := errors.AsType[SilentError](err)
	switch {
	case notFound && unknown.IsNotFound:
		return passes("Check the host's name, and that this machine or container can look it up")
	case notFound:
		return passes("The name server does not answer; check the host's name and the network")
	case errors.Is(err, fs.ErrPermission):
		return wrong("This user may not use the socket or the port; check the rights of the socket's folder")
	case errors.Is(err, fs.ErrNotExist):
		return passes("There is no socket of a server in that folder; name a host in the connection string if the " +
			"server is elsewhere, or start it")
	case errors.Is(err, syscall.ECONNREFUSED) && onSocket(err):
		return passes("The socket is there, and no server listens on it: start the server")
	case errors.Is(err, syscall.ECONNREFUSED):
		return passes("Check that the server runs, listens on this address (listen_addresses) and has this port")
	case errors.Is(err, syscall.EINVAL) && onSocket(err):
		return wrong("The path of a socket has at most 107 bytes: choose a shorter folder (unix_socket_directories)")
	case errors.Is(err, syscall.EINVAL):
		return wrong("This machine cannot use the address: after the % of an IPv6 address stands one of its " +
			"network interfaces")
	case silent, errors.Is(err, context.DeadlineExceeded), network && isTimeout(err):
		return passes("Check that the server runs and can be reached from here: no answer came in time, so a " +
			"firewall may drop the packets, or a pooler is paused or does not reach its server")
	case errors.Is(err, errNotOurs), errors.Is(err, errUnfinished):
		return passes("Check the pooler: it mixes up the answers of its clients (docs/poolers.md)")
	case Closed(err):
		return passes("The other end closed the connection: check that a server of PostgreSQL has this port, and " +
			"its log")
	case network:
		return passes("Check that the server runs and can be reached from here")
	}
	return wrong("Check what the connection string demands of authentication (require_auth, channel_binding, " +
		"sslcertmode), and that this is a server of PostgreSQL")
}

// Closed reports whether the other end has closed the connection.
func Closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

func onSocket(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Net == "unix"
}

// attempts are the errors of each attempt: a host may have several addresses, and be tried with and without TLS. That
// one has no TLS is not why the attempt after it failed.
func attempts(err error) []error {
	var all []error
	for unwrapped := err; unwrapped != nil; unwrapped = errors.Unwrap(unwrapped) {
		if several, ok := unwrapped.(interface{ Unwrap() []error }); ok {
			for _, one := range several.Unwrap() {
				all = append(all, attempts(one)...)
			}
			break
		}
	}
	more := slices.DeleteFunc(slices.Clone(all), func(one error) bool {
		return strings.Contains(one.Error(), refusedTLS)
	})
	switch {
	case len(more) > 0:
		return more
	case len(all) > 0:
		return all
	}
	return []error{err}
}

const refusedTLS = "server refused TLS connection"

// driverSays explains errors that have no type, by the words of pgx: what it means, and what to do. The words are about
// the protocol, which is not the operator's business; one of its formats is broken.
func driverSays(text string) (meaning, next string) {
	for _, known := range []struct {
		words         []string
		meaning, next string
	}{
		{
			[]string{"invalid body length", "invalid message length", "unknown message type"},
			"the answer is not PostgreSQL's",
			"Something else than a server of PostgreSQL answers there: correct the host or the port",
		},
		{
			[]string{"channel binding required"},
			"the server does not offer channel binding",
			"channel_binding=require needs TLS and scram-sha-256: write sslmode=require or more, or leave it out " +
				"(docs/tls.md)",
		},
		{
			[]string{
				"unknown authentication type", "is unimplemented", "kerberos error",
				"server does not support SCRAM-SHA-256",
			},
			"the server demands a way to log in that this program does not have, such as Kerberos, SSPI or OAuth",
			"Let a DBA write scram-sha-256 for this user into pg_hba.conf",
		},
		{
			[]string{"authentication method requirement"},
			"",
			"require_auth in the connection string or PGREQUIREAUTH differs from what pg_hba.conf demands: make " +
				"them agree",
		},
		{
			[]string{"server protocol version too low"},
			"the server speaks an older version of the protocol than min_protocol_version demands",
			"Leave min_protocol_version and PGMINPROTOCOLVERSION out",
		},
	} {
		if slices.ContainsFunc(known.words, func(w string) bool { return strings.Contains(text, w) }) {
			return known.meaning, known.next
		}
	}
	return "", ""
}

// A wrongServerError is that something else than a PostgreSQL which is new enough speaks its protocol.
type wrongServerError struct{ is, next string }

func (e *wrongServerError) Error() string { return "this is " + e.is }

// oldestServer is the oldest major version that is supported.
const oldestServer = 15

// CheckServer refuses what has no use for questions to PostgreSQL, by what it says of itself when it lets a client in.
func CheckServer(parameter func(string) string) error {
	version := parameter("server_version")
	var major int
	_, err := fmt.Sscanf(version, "%d", &major)
	switch {
	case strings.HasSuffix(version, "/bouncer"):
		return &wrongServerError{
			"the console of PgBouncer", "Name a database of its [databases] in the connection string",
		}
	case parameter("crdb_version") != "":
		return &wrongServerError{"CockroachDB", fmt.Sprintf("Use PostgreSQL %d or newer", oldestServer)}
	case err == nil && major < oldestServer:
		return &wrongServerError{
			"PostgreSQL " + version, fmt.Sprintf("PostgreSQL %d or newer is needed: upgrade the server", oldestServer),
		}
	}
	return nil
}

func isTimeout(err error) bool {
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout()
}

// diagnoseAnswer is about a server or a pooler that answered. The words of a server may be in any language; the routine
// of its source is not, and PgBouncer's words are always English.
func diagnoseAnswer(refusal *pgconn.PgError) Diagnosis {
	switch code := refusal.Code; {
	case code == ProtocolViolation:
		return diagnosePooler(refusal.Message)
	case code == InvalidPassword:
		return wrong("Check the user and the password, which may also have expired (VALID UNTIL of the role)")
	case code == InvalidAuthorization && refusal.Routine == "InitializeSessionUserId":
		return wrong("The role does not exist or may not log in: check the user, or let a DBA run ALTER ROLE … LOGIN")
	case code == InvalidAuthorization && refusal.Routine == "auth_failed":
		return wrong("Check the user and the password, or what else pg_hba.conf demands of this user (LDAP, PAM, " +
			"ident, a certificate); the server's log says more")
	case code == InvalidAuthorization:
		return wrong("Check the user, the database, and what pg_hba.conf on the server allows from this host: it may " +
			"demand TLS (sslmode=require) or a client certificate (docs/tls.md)")
	case code == invalidCatalogName, code == databaseDropped:
		return wrong("Create the database, or correct its name")
	case code == notInPrerequisiteState && refusal.Routine == "InitPostgres":
		return wrong("A DROP DATABASE of this database was interrupted: correct the name, or let a DBA finish it " +
			"and restore a backup")
	case code == notInPrerequisiteState:
		return wrong("The database does not accept connections; correct its name, or let a DBA run " +
			"ALTER DATABASE … ALLOW_CONNECTIONS true")
	case code == tooManyConnections && refusal.Routine == "InitializeSessionUserId":
		return passes("All connections of this role are taken; close some, or let a DBA raise its limit with " +
			"ALTER ROLE … CONNECTION LIMIT")
	case code == tooManyConnections && refusal.Routine == "CheckMyDatabase":
		return passes("All connections of this database are taken; close some, or let a DBA raise its limit with " +
			"ALTER DATABASE … CONNECTION LIMIT")
	case code == tooManyConnections:
		return passes("All connections of the server are taken; close some or raise max_connections")
	case code == cannotConnectNow:
		return passes("The server is starting up or shutting down; try again when it is ready")
	case code == DiskFull:
		return passes("The disk of the database server is full: make room there")
	case strings.HasPrefix(code, "53"): // insufficient resources
		return passes("The machine of the database server has no memory or no process left; its log says more")
	case code == adminShutdown, code == crashShutdown:
		return passes("The server ended the connection, as it does when it restarts or a DBA asks for it; its log " +
			"says more")
	case code == idleSessionTimeout:
		return passes("The server ends sessions that are idle for so short a time: let a DBA raise " +
			"idle_session_timeout, " +
			"or turn it off with ALTER ROLE … SET idle_session_timeout = 0 (or ALTER DATABASE)")
	case code == idleInTransaction:
		return passes("The server ends transactions that are idle for so short a time: let a DBA raise " +
			"idle_in_transaction_session_timeout, or turn it off with " +
			"ALTER ROLE … SET idle_in_transaction_session_timeout = 0 (or ALTER DATABASE)")
	case code == TransactionTimeout:
		return passes("The server ends transactions that take so short a time: let a DBA raise transaction_timeout, " +
			"or turn it off with ALTER ROLE … SET transaction_timeout = 0 (or ALTER DATABASE)")
	case code == QueryCanceled:
		return passes("The login took longer than the server's authentication_timeout: check its load and the network")
	case code == systemError: // PgCat
		return diagnosePooler(refusal.Message)
	case code == UndefinedFile && strings.HasSuffix(refusal.Routine, "load_library"): // its own files are there
		return Diagnosis{Next: "session_preload_libraries or local_preload_libraries of the role or the " +
			"database names a " +
			"library that the server does not have: let a DBA install it, or ALTER ROLE … RESET the setting (or " +
			"ALTER DATABASE)"}
	// system error; corrupted data or index
	case strings.HasPrefix(code, "58"), code == dataCorrupted, code == indexCorrupted:
		return Diagnosis{Next: "The server cannot read its own files: let a DBA look into its log and at its disk"}
	case code == FeatureNotSupported:
		return wrong("Check that this is PostgreSQL 15 or newer")
	case strings.HasPrefix(code, "P0"), code == UndefinedFunction, code == UndefinedTable, code == UndefinedColumn:
		return wrong("An event trigger on login in this database fails or refuses the user; the server's log says why")
	case code == UndefinedObject, code == InvalidParameterValue, strings.HasPrefix(code, "42"),
		strings.HasPrefix(code, "22"):
		return wrong("The server does not take a run-time parameter of the connection string or of PGOPTIONS, or " +
			"of the role's settings; leave it out or correct it")
	case strings.HasPrefix(code, "08"):
		return diagnosePooler(refusal.Message)
	case strings.HasPrefix(code, "57"):
		return passes("Check that the server runs and can be reached from here")
	case code == InternalError:
		return diagnosePlatform(refusal.Message)
	}
	return Diagnosis{Next: "The server does not let the program in; its log says more"}
}

// diagnosePlatform explains, by their words, errors of what platforms put in front of a server.
func diagnosePlatform(message string) Diagnosis {
	switch {
	case strings.Contains(message, "Tenant or user not found"):
		return wrong("The pooler does not know this user: check the user, which some platforms write as " +
			"USER.PROJECT, and the host")
	case strings.Contains(message, "Max client connections"):
		return passes("All connections of the pooler are taken; close some or raise its limit")
	}
	return Diagnosis{Next: "The server does not let the program in; its log says more"}
}

// diagnoseQuestions is about a connection that broke while questions were asked; "" when the
// server or the network said why.
func diagnoseQuestions(err error) string {
	_, silent := errors.AsType[SilentError](err)
	switch {
	case silent:
		return "Check that the server still runs: it took the connection and gave no answer, as when a pooler is " +
			"paused, or a firewall drops the packets"
	case errors.Is(err, errNotOurs), errors.Is(err, errUnfinished):
		return "Try again; when it happens often, give this program's users a pool of their own (docs/poolers.md)"
	}
	return ""
}

// diagnosePooler distinguishes by their words the errors that PgBouncer gives one and the same code.
func diagnosePooler(message string) Diagnosis {
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(message, w) })
	}
	switch {
	case says("statement pooling mode"):
		return wrong("The pooler takes one statement at a time: set its pool_mode to transaction or session " +
			"(docs/poolers.md)")
	case says("unsupported startup parameter"):
		return wrong("The pooler does not take a parameter of the connection string, of PGOPTIONS or of PGTZ; " +
			"leave it out, or add it to the pooler's ignore_startup_parameters")
	case says("no such database", "No pool configured", "route for"):
		return wrong("The pooler does not know this database, or this user in it; correct the name, or add it to its " +
			"[databases]")
	case says("server login failed"):
		return wrong("The server does not let the pooler in: check the user and the password that the pooler has " +
			"for it (docs/poolers.md)")
	case DeniesLogin(message):
		return wrong("Check the user and the password; or the pooler does not know this user, or has another " +
			"password for it than the server: check its auth_file or auth_query (docs/poolers.md)")
	case says("bouncer config error"):
		return wrong("The pooler does not know this database, or its own settings do not work for this user: " +
			"check the name, its [databases], auth_query and auth_user (docs/poolers.md)")
	case says("SSL required", "TLS required", "TLS certificate required"):
		return wrong("The pooler demands TLS: write sslmode=require or more (docs/tls.md)")
	// the server's words to it
	case strings.Contains(message, "database ") && says("does not exist"), says("pg_hba.conf"):
		return wrong("The server does not let the pooler into this database: check dbname and host in its " +
			"[databases], and pg_hba.conf on the server (docs/poolers.md)")
	case says("no more connections allowed"):
		return passes("All connections of the pooler are taken; close some or raise its max_client_conn")
	case says("query_wait_timeout"):
		return passes("All connections of the pooler to the server were busy: find what holds them (SHOW SERVERS, " +
			"pg_stat_activity), or raise its pool size")
	}
	return passes("Check that the pooler reaches its server, and its log")
}

// DeniesLogin reports whether PgBouncer's words are about the user and the password.
func DeniesLogin(message string) bool {
	return slices.ContainsFunc([]string{
		"password authentication failed", "no such user", "auth failed", "not allowed", "SASL authentication failed",
		"wrong password",
	}, func(w string) bool { return strings.Contains(message, w) })
}

// diagnoseTLS says what is wrong with a certificate or with TLS; "" when that is not what failed.
func diagnoseTLS(err error) string {
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, hostname := errors.AsType[x509.HostnameError](err)
	_, other := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	text := err.Error()
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	switch {
	case unknown:
		return "The server's certificate is signed by an authority that is not trusted here: name its certificate " +
			"with sslrootcert=FILE"
	case hostname:
		return "The server's certificate is for other names than this host: connect by a name that it holds, or " +
			"use sslmode=verify-ca"
	case isInvalid && invalid.Reason == x509.Expired:
		return "The server's certificate, or that of its authority, has expired or is not valid yet: renew it, " +
			"and check the clocks"
	case isInvalid, other:
		return "The server's certificate cannot be verified: check how it was made"
	case strings.Contains(text, refusedTLS):
		return "There is no TLS, which sslmode demands: check that a server of PostgreSQL has this port, turn ssl " +
			"on there, or use sslmode=prefer in a network that you trust"
	case says("tls: certificate required", "did not request an SSL certificate", "without a valid SSL certificate"):
		return "A client certificate is demanded: set sslcert and sslkey, and on the server ssl_ca_file"
	case says("remote error: tls: unknown certificate", "remote error: tls: bad certificate",
		"remote error: tls: expired certificate", "remote error: tls: revoked certificate"):
		return "The server does not take the client's certificate: check sslcert, its date, and that ssl_ca_file " +
			"on the server holds its authority"
	case record, strings.Contains(text, "tls:"), strings.Contains(text, "tls error"):
		if isTimeout(err) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) ||
			errors.Is(err, context.DeadlineExceeded) {
			return "" // the network's
		}
		return "TLS with this server fails: check that it is a server of PostgreSQL, and sslmode and sslnegotiation"
	}
	return ""
}

// Reason strips what pgx puts around the cause, which repeats the target, and what the server says about rows.
func Reason(err error) error {
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		return redact.Server(refusal, "")
	}
	var causes causes
	for _, attempt := range attempts(err) {
		cause := reasonOf(attempt)
		if !slices.ContainsFunc(causes, func(c error) bool { return c.Error() == cause.Error() }) {
			causes = append(causes, cause)
		}
	}
	if len(causes) == 1 {
		return causes[0]
	}
	return causes
}

// causes are those of several attempts.
type causes []error

func (c causes) Error() string {
	var texts []string
	for _, cause := range c {
		texts = append(texts, cause.Error())
	}
	return strings.Join(texts, "; ")
}

func (c causes) Unwrap() []error { return c }

// A plainError is an error in other words.
type plainError struct {
	text string
	err  error
}

func (p *plainError) Error() string { return p.text }

func (p *plainError) Unwrap() error { return p.err }

// reasonOf is reason for one attempt.
func reasonOf(err error) error {
	if unknown, ok := errors.AsType[*net.DNSError](err); ok { // without the address of the name server
		return &net.DNSError{
			Err: unknown.Err, Name: unknown.Name,
			IsTimeout: unknown.IsTimeout, IsTemporary: unknown.IsTemporary, IsNotFound: unknown.IsNotFound,
		}
	}
	if verification, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return verification
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	if text, _ := driverSays(err.Error()); text != "" {
		return &plainError{text, err}
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &plainError{"no answer", err}
	}
	return err
}
