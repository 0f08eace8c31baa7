package migrate

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
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/redact"
)

func (r *run) connectError(err error, tried time.Duration) error {
	c := r.config
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == insufficientPrivilege {
		return mayNotConnect(c, pg)
	}
	address := fmt.Sprintf("%s:%d", c.Host, c.Port)
	if severalHosts(c) {
		address += " (and the other hosts listed)"
	}
	cause := diagnose(err)
	next := cause.next
	if sqlState(err) == invalidPassword && c.Password == "" {
		next = "No password is given: put it into the connection string, PGPASSWORD or a password file"
	}
	return &ConnectError{
		Target: fmt.Sprintf("%s as %q, database %q", address, c.User, c.Database),
		Tried:  tried, Next: next, Err: reason(err), settings: cause.settings,
	}
}

// mayNotConnect is the error of a role that the server knows and still does not let in:
// for want of CONNECT, or because of a setting in the connection string. The words of the
// server may be in any language; the place in its source is not.
func mayNotConnect(c *pgconn.Config, err *pgconn.PgError) error {
	database := cmp.Or(c.Database, c.User)
	lacks := &PrivilegeError{Lacks: fmt.Sprintf("the server does not let %q into the database %q: %s", c.User, database, err.Message)}
	if err.Routine == "CheckMyDatabase" {
		lacks.SQL = []string{"GRANT CONNECT ON DATABASE " + quoteName(database) + " TO " + quoteName(c.User)}
	}
	return lacks
}

// worthRetrying tells a server that is not there yet from one that says no.
func worthRetrying(err error) bool { return diagnose(err).passes }

// refusedForGood reports whether a pooler ended a connection because of what it never does.
func refusedForGood(lost *lostError) bool {
	return sqlState(lost.err) == protocolViolation && !worthRetrying(lost.err)
}

// onlyStandbys reports whether the hosts answer, and none is a primary: a failover may be
// under way.
func onlyStandbys(err error) bool {
	return errors.Is(err, pgconn.ErrStandbyConnection) || errors.Is(err, pgconn.ErrReadOnlyConnection)
}

// A diagnosis is what a failure to connect means.
type diagnosis struct {
	passes   bool   // trying again may help
	settings bool   // something has to be set right, here or on the server, and then it works
	next     string // what the operator can do
}

func wrong(next string) diagnosis  { return diagnosis{settings: true, next: next} }
func passes(next string) diagnosis { return diagnosis{passes: true, next: next} }

// States with which servers refuse a connection.
const (
	invalidAuthorization = "28000"
	invalidPassword      = "28P01"
	protocolViolation    = "08P01" // all that PgBouncer says of itself
	noSuchDatabase       = "3D000"
	notInThisState       = "55000"
	tooManyConnections   = "53300"
	invalidParameter     = "22023"
)

// diagnose looks through all that wraps an error. Of several hosts, and of the attempts with and without TLS, the first
// that answered decides.
func diagnose(err error) diagnosis {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return diagnoseAnswer(pg)
	}
	if next := diagnoseQuestions(err); next != "" {
		return passes(next)
	}
	if onlyStandbys(err) {
		return passes("Of the hosts that answer none is a primary, which migrations need; see whether a failover is under way")
	}
	if next := diagnoseTLS(err); next != "" {
		return wrong(next + " (docs/tls.md)")
	}
	unknown, notFound := errors.AsType[*net.DNSError](err)
	_, network := errors.AsType[net.Error](err)
	_, silent := errors.AsType[silentError](err)
	switch {
	case notFound && unknown.IsNotFound:
		return passes("Check the host's name, and that this machine or container can look it up")
	case notFound:
		return passes("The name server does not answer; check the host's name and the network")
	case errors.Is(err, fs.ErrPermission):
		return wrong("This user may not use the socket or the port; check the rights of the socket's folder")
	case errors.Is(err, fs.ErrNotExist):
		return passes("There is no socket of a server in that folder; name a host in the connection string if the server is elsewhere, or start it")
	case errors.Is(err, syscall.ECONNREFUSED):
		return passes("Check that the server runs, listens on this address (listen_addresses) and has this port")
	case silent, errors.Is(err, context.DeadlineExceeded), network && isTimeout(err):
		return passes("Check that the server runs and can be reached from here: no answer came in time, so a firewall may drop the packets, or a pooler is paused")
	case errors.Is(err, errNotOurs), errors.Is(err, errUnfinished):
		return passes("Check the pooler: it mixes up the answers of its clients (docs/poolers.md)")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return passes("The other end closed the connection: check that a server of PostgreSQL has this port, and its log")
	case network:
		return passes("Check that the server runs and can be reached from here")
	}
	return wrong("Check what the connection string demands of authentication (require_auth, channel_binding, sslcertmode), and that this is a server of PostgreSQL")
}

func isTimeout(err error) bool {
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout()
}

// diagnoseAnswer is about a server or a pooler that answered. The words of a server may be in any language; the routine
// of its source is not, and PgBouncer's words are always English.
func diagnoseAnswer(pg *pgconn.PgError) diagnosis {
	switch code := pg.Code; {
	case code == protocolViolation:
		return diagnosePooler(pg.Message)
	case code == invalidPassword:
		return wrong("Check the user and the password, which may also have expired (VALID UNTIL of the role)")
	case code == invalidAuthorization && pg.Routine == "InitializeSessionUserId":
		return wrong("The role does not exist or may not log in: check the user, or let a DBA run ALTER ROLE … LOGIN")
	case code == invalidAuthorization:
		return wrong("Check the user, and what pg_hba.conf on the server allows from this host: it may demand TLS (sslmode=require) or a client certificate (docs/tls.md)")
	case code == noSuchDatabase:
		return wrong("Create the database, or correct its name")
	case code == notInThisState:
		return wrong("The database does not accept connections; correct its name, or let a DBA run ALTER DATABASE … ALLOW_CONNECTIONS true")
	case code == tooManyConnections && pg.Routine == "InitializeSessionUserId":
		return passes("All connections of this role are taken; close some, or let a DBA raise its limit with ALTER ROLE … CONNECTION LIMIT")
	case code == tooManyConnections && pg.Routine == "CheckMyDatabase":
		return passes("All connections of this database are taken; close some, or let a DBA raise its limit with ALTER DATABASE … CONNECTION LIMIT")
	case code == tooManyConnections:
		return passes("All connections of the server are taken; close some or raise max_connections")
	case code == "57P03":
		return passes("The server is starting up or shutting down; try again when it is ready")
	case code == undefinedObject, code == invalidParameter, strings.HasPrefix(code, "42"), strings.HasPrefix(code, "22"):
		return wrong("The server does not take a run-time parameter of the connection string or of PGOPTIONS, or of the role's settings; leave it out or correct it")
	case slices.Contains([]string{"08", "53", "57"}, code[:min(2, len(code))]):
		return passes("Check that the server runs and can be reached from here")
	}
	return diagnosis{next: "The server does not let the program in; its log says more"}
}

// diagnoseQuestions is about a connection that broke while questions were asked; "" when the
// server or the network said why.
func diagnoseQuestions(err error) string {
	switch {
	case errors.Is(err, errSilent):
		return "Check that the server still runs: it took the connection and gave no answer, so a pooler may be paused, or a firewall may drop the packets"
	case errors.Is(err, errNotOurs), errors.Is(err, errUnfinished):
		return "Try again; when it happens often, give this program's users a pool of their own (docs/poolers.md)"
	}
	return ""
}

// diagnosePooler tells by their words the errors that PgBouncer gives one and the same code.
func diagnosePooler(message string) diagnosis {
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(message, w) })
	}
	switch {
	case says("statement pooling mode"):
		return wrong("The pooler takes one statement at a time: set its pool_mode to transaction or session (docs/poolers.md)")
	case says("unsupported startup parameter"):
		return wrong("The pooler does not take a parameter of the connection string, of PGOPTIONS or of PGTZ; leave it out, or add it to the pooler's ignore_startup_parameters")
	case says("no such database"):
		return wrong("The pooler does not know this database; correct the name, or add it to its [databases]")
	case says("server login failed"):
		return wrong("The server does not let the pooler in: check the user and the password that the pooler has for it (docs/poolers.md)")
	case deniesLogin(message):
		return wrong("Check the user and the password; or the pooler does not know this user: check its auth_file or auth_query (docs/poolers.md)")
	case says("bouncer config error"):
		return wrong("The pooler does not know this database, or its own settings do not work for this user: check the name, its [databases], auth_query and auth_user (docs/poolers.md)")
	case says("SSL required", "TLS required", "TLS certificate required"):
		return wrong("The pooler demands TLS: write sslmode=require or more (docs/tls.md)")
	case says("no more connections allowed"):
		return passes("All connections of the pooler are taken; close some or raise its max_client_conn")
	}
	return passes("Check that the pooler reaches its server, and its log")
}

// deniesLogin reports whether PgBouncer's words are about the user and the password.
func deniesLogin(message string) bool {
	return slices.ContainsFunc([]string{"password authentication failed", "no such user", "auth failed", "not allowed", "SASL authentication failed", "wrong password"},
		func(w string) bool { return strings.Contains(message, w) })
}

// diagnoseTLS says what is wrong with a certificate or with TLS; "" when that is not what failed.
func diagnoseTLS(err error) string {
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, hostname := errors.AsType[x509.HostnameError](err)
	_, other := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	text := err.Error()
	switch {
	case unknown:
		return "The server's certificate is signed by an authority that is not trusted here: name its certificate with sslrootcert=FILE"
	case hostname:
		return "The server's certificate is for other names than this host: connect by a name that it holds, or use sslmode=verify-ca"
	case isInvalid && invalid.Reason == x509.Expired:
		return "The server's certificate, or that of its authority, has expired or is not valid yet: renew it, and check the clocks"
	case isInvalid, other:
		return "The server's certificate cannot be verified: check how it was made"
	case strings.Contains(text, "server refused TLS connection"):
		return "The server has no TLS, which sslmode demands: turn ssl on there, or use sslmode=prefer in a network that you trust"
	case strings.Contains(text, "tls: certificate required"), strings.Contains(text, "did not request an SSL certificate"), strings.Contains(text, "without a valid SSL certificate"):
		return "A client certificate is demanded: set sslcert and sslkey, and on the server ssl_ca_file"
	case strings.Contains(text, "remote error: tls: unknown certificate"), strings.Contains(text, "remote error: tls: bad certificate"),
		strings.Contains(text, "remote error: tls: expired certificate"), strings.Contains(text, "remote error: tls: revoked certificate"):
		return "The server does not take the client's certificate: check sslcert, its date, and that ssl_ca_file on the server holds its authority"
	case record, strings.Contains(text, "tls:"), strings.Contains(text, "tls error"):
		if isTimeout(err) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, context.DeadlineExceeded) {
			return "" // the network's
		}
		return "TLS with this server fails: check that it is a server of PostgreSQL, and sslmode and sslnegotiation"
	}
	return ""
}

// reason strips what pgx puts around the cause, which repeats the target, and what the server says about rows.
func reason(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return redact.Server(pg, "")
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok { // without the address of the name server
		return &net.DNSError{Err: unknown.Err, Name: unknown.Name, IsTimeout: unknown.IsTimeout, IsTemporary: unknown.IsTemporary, IsNotFound: unknown.IsNotFound}
	}
	if verification, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return verification
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	for {
		inner := errors.Unwrap(err)
		if several, ok := err.(interface{ Unwrap() []error }); ok && len(several.Unwrap()) > 0 {
			inner = several.Unwrap()[0]
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}
