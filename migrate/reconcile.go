package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// grantRights makes the role's rights equal to the declared ones. The next look shows whether they are, so that the
// catalogue, not the absence of an error, is the proof.
func (r *run) grantRights(ctx context.Context, conn *pgconn.PgConn, s seen, next step) error {
	missing, excess := next.missing, next.excess
	granted, revoked := r.describeChanges(s, next)
	r.Log.Info("making the role's rights equal to the declared ones", "role", r.Role.Name, "create", s.Role == nil,
		"granted", granted, "revoked", revoked)
	if others := privilege.Filter(excess,
		func(h privilege.Held) bool { return h.IsRowSecurity() || h.Public }); len(others) > 0 {
		r.warnOfOthers(s, others, r.eventTriggers(ctx, conn))
	}
	err := r.apply(ctx, conn, []message{r.rights(s, s.Role == nil, missing, excess)})
	if err == nil {
		r.did.granted = true
		r.granted(granted, revoked)
	}
	if _, lost := errors.AsType[*pg.ConnLostError](err); lost {
		r.tally.doubts = append(r.tally.doubts, func(s *seen) bool {
			if s.Held == nil {
				return true
			}
			lacks, has := r.fixable(*s)
			done := !slices.ContainsFunc(lacks, within(missing)) && !slices.ContainsFunc(has, within(excess))
			if done {
				r.granted(granted, revoked)
			}
			return done // otherwise the server may still be at it
		})
	}
	if lacks, refused := errors.AsType[*pg.PrivilegeError](err); refused && s.Role != nil && !lacks.Beyond {
		audit, _ := r.Role.Audit(r.roleFacts(s)) // newRun has checked the declaration
		err = r.unmended(s, audit.Err())
	}
	return err
}

// warnOfOthers names what no migration put on the schema, and what may have.
func (r *run) warnOfOthers(s seen, excess []privilege.Held, triggers eventTriggers) {
	var what []string
	byDefault := false
	for _, f := range r.Role.ExcessFindings(r.roleFacts(s), excess) {
		what = append(what, f.What)
	}
	for _, h := range excess {
		byDefault = byDefault || h.Kind == "DEFAULT PRIVILEGES"
	}
	cause := "a GRANT or ALTER TABLE by hand: no event trigger is on"
	switch {
	case byDefault:
		cause = "the default privileges among them, which a DBA set with ALTER DEFAULT PRIVILEGES"
	case len(triggers) > 0:
		cause = "an event trigger of this database, or a GRANT or ALTER TABLE by hand: " + triggers.names()
	}
	r.Log.Warn("privileges or row level security that no migration put on the schema are taken off", "what", what,
		"cause", cause)
}

// within reports whether a list holds a value.
func within[T comparable](list []T) func(T) bool {
	return func(v T) bool { return slices.Contains(list, v) }
}

// fixable lists the differences that GRANT and REVOKE can remove within the schema
// and on the database.
func (m *Migrator) fixable(s seen) (missing []privilege.Grant, excess []privilege.Held) {
	diff := m.Role.Diff(m.roleFacts(s))
	return diff.Missing, diff.Excess
}

// holdsOutside refuses, before anything is migrated, a role with rights that the
// migrator will not touch afterwards either.
func (m *Migrator) holdsOutside(s seen) error {
	if m.Role.Name == "" {
		return nil
	}
	return m.unmended(s, privilege.Error(fmt.Sprintf("the role %q is not what it is meant to be", m.Role.Name),
		m.Role.OutsideFindings(m.roleFacts(s))))
}

// fitAhead refuses a role that no version of this program should have. On a schema that
// is ahead it changes no rights, nor does it create the role: which rights are meant,
// only the newer program knows.
func (m *Migrator) fitAhead(s seen) error {
	if m.Role.Name == "" {
		return nil
	}
	if err := m.mayHaveRole(s); err != nil {
		return err
	}
	err := m.Role.AuditAhead(m.roleFacts(s)).Err()
	if lacks, ok := errors.AsType[*pg.PrivilegeError](err); ok {
		lacks.Lacks += ". The schema is ahead of this program, which therefore changes no rights: the newer " +
			"program's next start does what it may"
	}
	return err
}

// grantsFollow reports whether the rights that are missing on a schema that is ahead may
// still come: the newer program grants them in the transaction behind its last file.
func (r *run) grantsFollow(s seen) bool {
	if r.lacked.IsZero() {
		r.lacked = time.Now()
	}
	const soon = 3 * time.Second
	return time.Since(r.lacked) < soon && r.mayHaveRole(s) == nil &&
		r.Role.AuditAhead(r.roleFacts(s)).Count(privilege.Excess) == 0
}

// unmended says of what differs that a DBA has to fix it: it lies outside
// of the schema, or a GRANT or REVOKE did not change it, which then only warns.
func (m *Migrator) unmended(s seen, differs error) error {
	if lacks, ok := errors.AsType[*pg.PrivilegeError](differs); ok {
		lacks.Lacks = fmt.Sprintf("%s. This is not for %q to change", lacks.Lacks, s.Me.Name)
	}
	return differs
}

// rotate gives the role the configured password when it no longer logs in: that is
// how an operator changes it. It is done only for a role that has our mark. It
// reports done when nothing is left to do.
func (r *run) rotate(ctx context.Context, conn *pgconn.PgConn, s seen) (done bool, err error) {
	if !r.Role.Rotate || s.Role == nil || r.report.RoleCreated || r.admitted {
		return true, nil
	}
	refusal := r.logsIn(ctx)
	switch logsIn := refusal == nil; {
	case logsIn && r.tally.password && !r.report.PasswordSet: // by us, although the answer was lost
		r.passwordSet()
		return true, nil
	case logsIn:
		return true, nil
	case pg.IsPooled(conn, s.Server.PID):
		return r.lockedOut(fmt.Sprintf("the configured password of the role %q does not log in through this pooler, "+
			"which checks passwords on its own account (%v); "+
			"it is not changed. If it is a new one, migrate over a direct connection to the server; otherwise give "+
			"user and password to the pooler", r.Role.Name, pg.Reason(refusal)),
			"-- in the pooler's auth_file, or in what its auth_query reads: the role "+sqltext.QuoteName(r.Role.Name)+
				" and its password")
	case s.Role.Comment != privilege.Mark(r.Program, s.Database):
		return false, r.unmarked()
	case s.Server.Standby || s.Server.ReadOnly != "":
		return r.lockedOut(fmt.Sprintf("the configured password of the role %q does not log in, and it cannot be "+
			"set: the server is a standby, or is read-only by a setting. "+
			"Start once with the primary, or when the database can be written to", r.Role.Name),
			`-- there, in psql, which sends only a verifier: \password `+sqltext.QuoteName(r.Role.Name))
	case r.report.PasswordSet:
		return r.lockedOut(fmt.Sprintf("the role %q cannot log in although its password was just set; "+
			"the server's pg_hba.conf may send it to another method or server of passwords", r.Role.Name),
			"SELECT * FROM pg_hba_file_rules")
	}
	name := sqltext.QuoteName(r.Role.Name)
	err = r.apply(ctx, conn, []message{r.wrap("password", s,
		[]string{"ALTER ROLE " + name + " PASSWORD " + sqltext.QuoteText(privilege.NewVerifier(r.Role.Password))})})
	if lacks, ok := errors.AsType[*pg.PrivilegeError](err); ok {
		lacks.Lacks = fmt.Sprintf("the configured password of the role %q does not log in, and %q may not set it",
			r.Role.Name, s.Me.Name)
		lacks.SQL = []string{`-- in psql, which sends only a verifier: \password ` + name}
	}
	if err == nil {
		r.passwordSet()
	}
	if _, lost := errors.AsType[*pg.ConnLostError](err); lost {
		r.tally.password = true
	}
	return false, err
}

// lockedOut is for a password that does not log in and that is not ours to set: a warning, or
// the error where nothing else shows it.
func (r *run) lockedOut(why, sql string) (done bool, err error) {
	if r.Role.MustLogIn {
		return false, &pg.PrivilegeError{Lacks: why, SQL: []string{sql}, Beyond: true}
	}
	r.Log.Warn(why, "role", r.Role.Name)
	return true, nil
}

// unmarked is the error of a role that another program made with another password.
func (r *run) unmarked() error {
	return &pg.PrivilegeError{
		Lacks: fmt.Sprintf("the configured password of the role %q does not log in, and it is not changed: the role "+
			"does not bear the mark of this program and database, "+
			"and may be another application's. Configure the password that it has, choose another name, or let a "+
			"DBA set it", r.Role.Name),
		SQL:    []string{`-- in psql, which sends only a verifier: \password ` + sqltext.QuoteName(r.Role.Name)},
		Beyond: true,
	}
}

// mayLogIn refuses, before anything is migrated, a password that will not be the role's
// afterwards either.
func (r *run) mayLogIn(ctx context.Context, conn *pgconn.PgConn, s seen) error {
	if r.admitted || !r.Role.Rotate || s.Role == nil || s.Role.Comment == privilege.Mark(r.Program, s.Database) ||
		pg.IsPooled(conn, s.Server.PID) {
		return nil
	}
	if r.admitted = r.logsIn(ctx) == nil; !r.admitted {
		return r.unmarked()
	}
	return nil
}

// logsIn is nil when the role can log in with the configured password, as far as can be seen.
// Only a server or a pooler that says that user or password is wrong makes it an error: a full
// server or a rule of pg_hba.conf say nothing about the password. PgBouncer has one code for
// all that it says.
func (r *run) logsIn(ctx context.Context) error {
	config := r.config.Copy()
	config.User, config.Password = r.Role.Name, r.Role.Password
	ctx, cancel := context.WithTimeout(ctx, min(config.ConnectTimeout, max(r.waitable(), leastAnswer)))
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err == nil {
		pg.Close(ctx, conn)
	}
	switch code := pg.SQLState(err); {
	case code == pg.InvalidPassword, code == pg.ProtocolViolation && pg.DeniesLogin(err.Error()):
		return err
	case code == pg.InvalidAuthorization:
		r.Log.Warn("the server does not let the service's role in from this machine, whatever its password: see "+
			"pg_hba.conf", "role", r.Role.Name, "error", pg.Reason(err))
	}
	return nil
}
