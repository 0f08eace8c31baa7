package migrate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/setting"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// Verifier is the SCRAM verifier of a password.
func Verifier(password string, salt []byte) (string, error) {
	return privilege.Verifier(password, salt)
}

// WindowMessages is how many files may be under way at once.
const WindowMessages = pg.WindowMessages

// Jitter spreads waits.
func Jitter(d time.Duration) time.Duration { return pg.Jitter(d) }

// LookOver is the look of a start, for benchmarks: with or without the question
// about the role's rights.
func (m *Migrator) LookOver(ctx context.Context, conn *pgx.Conn, rights bool) error {
	who := service
	if rights {
		who = migrator
	}
	_, err := m.look(ctx, conn.PgConn(), who)
	return err
}

// LedgerTable is what the ledger's table is like, in the words of a snapshot.
func (m *Migrator) LedgerTable(ctx context.Context, conn *pgx.Conn) (string, error) {
	return m.tell(ctx, conn.PgConn(), snapshot.Ledger)
}

// DamageOf is how a ledger's table differs from what it should be.
func DamageOf(table string) []snapshot.Difference { return ledger.DiffTable(table).Fatal }

// TakeOver is the SQL that makes a role the owner of a schema.
func TakeOver(schema, role string) []string { return takeOver(schema, role) }

// InDatabase is the comment before a statement for another database.
func InDatabase(database, here string) string { return privilege.InDatabase(database, here) }

// HeldBothWays lists what a role holds as each start asks, and as an audit does.
func (m *Migrator) HeldBothWays(ctx context.Context, conn *pgconn.PgConn, role string) (brief, whole []string,
	odd bool, err error,
) {
	answers, err := pg.Batch(ctx, conn, privilege.StartQuery(m.Schema, role), privilege.AuditQuery(m.Schema, role))
	if err != nil {
		return nil, nil, false, err
	}
	held, odd, err := privilege.ReadStart(answers[0], &privilege.RoleFacts{Name: role}, "")
	if err != nil {
		return nil, nil, false, err
	}
	all, err := privilege.ReadAudit(answers[1])
	list := func(grants []privilege.Held) (lines []string) {
		for _, g := range grants {
			lines = append(lines, fmt.Sprintf("%+v", g))
		}
		slices.Sort(lines)
		return lines
	}
	return list(held.Grants), list(all.Grants), odd, err
}

// Unforeseen is unforeseen.
func Unforeseen(step string, err error) error { return unforeseen(func() string { return step }, err) }

// AskedOfTheServer lists the names of catalogues and functions in the questions that starts,
// audits and histories ask.
func (m *Migrator) AskedOfTheServer() (names []string) {
	asked := strings.Join([]string{
		m.askFacts("current_user", migrator), m.askFacts("current_user", service),
		ledger.HeadQuery(m.Schema, m.Bundle.Version()), privilege.StartQuery(m.Schema, ""),
		privilege.AuditQuery(m.Schema, ""), m.askInside(), ledger.RowsQuery(m.Schema), snapshot.Settings,
		snapshot.Question("$schema", "$ledger"), snapshot.Ledger("$schema", "$ledger"),
	}, " ")
	for _, found := range regexp.MustCompile(`\b(pg_[a-z_]+)\b|\b([a-z][a-z0-9_]*)\(`).FindAllStringSubmatch(asked,
		-1) {
		names = append(names, found[1]+found[2])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// SettingsText is the table of decisions.
func SettingsText() string { return setting.SettingsText }

// Pins are the settings that a file's transaction pins to a value of the table, and whether
// only some may set them.
func Pins(version int) map[string]bool {
	all := map[string]bool{}
	for _, p := range setting.Pins() {
		if p.Restricted() || p.Late() {
			all[p.Name] = p.Restricted()
		}
	}
	for _, p := range setting.Meaning(version) {
		all[p.Name] = false
	}
	return all
}

// BlamedLosses is what becomes of an error after so many losses at a file.
func BlamedLosses(file string, times int) error {
	r := &run{losses: losses{file, times}}
	return r.blameLosses(&ConnectError{Next: "the server's words"})
}

// Limits are what a run that has waited for some time gives a statement that queues for a lock, the questions of
// a look that do, and the answers to a look.
func Limits(m Migrator, waited time.Duration) (lock time.Duration, question string, answers time.Duration, err error) {
	r, err := newRun(m, "host=127.0.0.1")
	if err != nil {
		return 0, "", 0, err
	}
	r.pause.waited = waited
	ctx := pg.Metered(context.Background(), pg.Meter{Left: r.waitable})
	question = strings.TrimPrefix(r.patiently(ctx, 1), pg.Untimed)
	return r.lockLimit(), strings.Trim(question, "; "), r.answersIn(), nil
}
