package web_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// TestEachDamagedColumnIsOneDamagedCard damages each column of an account, one after the other and as no program would:
// the other accounts and their codes are as before, and the damaged one can be deleted. A column without a row here
// fails.
func TestEachDamagedColumnIsOneDamagedCard(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	whole := alice.add(map[string]any{"link": link})
	times := []string{"infinity", "-infinity", "200000-01-01", "0044-03-15 BC", "1999-01-01"}
	sealed := []string{"", "\\x", "\\x00", "\\x" + strings.Repeat("ab", 64)}
	damage := map[string][]string{
		"id": {uuid.NewString()}, "vault_id": nil, "submission": {uuid.NewString()},
		"kind": {"hotp", "steam"}, "algorithm": {"MD5", "SHA512"}, "digits": {"4", "10"}, "period": {"1", "86400"},
		"sealed_secret": sealed[1:], "sealed_issuer": sealed[1:], "sealed_name": sealed[1:], "sealed_note": sealed[1:],
		"created_at": times, "updated_at": times, "deleted_at": times,
		"version": {"0", "2", "9223372036854775807"}, "generation": {"2"},
	}
	// which it is not made of
	codeStays := []string{"submission", "updated_at", "sealed_issuer", "sealed_name", "sealed_note"}
	columns := pgtest.Value[[]string](t, s.db.SuperConn, `
		SELECT array_agg(attname::text) FROM pg_attribute
		WHERE attrelid = 'avtotpy.accounts'::regclass AND attnum > 0 AND NOT attisdropped`)
	for _, column := range columns {
		values, ok := damage[column]
		if !ok {
			t.Errorf("the column %s is not damaged here", column)
		}
		for _, value := range values {
			id := alice.add(map[string]any{"link": strings.ReplaceAll(link, "Example", "Contoso")})
			pgtest.Exec(t, s.db.SuperConn, `
				SET session_replication_role = replica;
				UPDATE avtotpy.accounts SET `+column+` = '`+value+`' WHERE id = '`+id+`';
				SET session_replication_role = origin`)
			what := column + " = " + value
			codes := alice.ask("GET", "/api/v1/codes", nil)
			if codes.StatusCode != http.StatusOK || !strings.Contains(codes.text, whole) {
				t.Errorf("%s: the codes: %s %s", what, codes.Status, codes.text)
			}
			for _, path := range []string{"/", "/trash", "/api/v1/accounts", "/api/v1/trash"} {
				a := alice.ask("GET", path, nil)
				if a.StatusCode != http.StatusOK || !strings.HasSuffix(path, "trash") &&
					!strings.Contains(a.text, whole) {
					t.Errorf("%s: %s: %s %s", what, path, a.Status, a.text)
				}
			}
			if column == "id" {
				id = value
			}
			if a := alice.ask("GET", "/accounts/"+id, nil); a.StatusCode != http.StatusOK &&
				a.StatusCode != http.StatusNotFound {
				t.Errorf("%s: its page: %s", what, a.Status)
			}
			if a := alice.ask("DELETE", "/api/v1/accounts/"+id, nil); a.StatusCode != http.StatusNoContent &&
				a.StatusCode != http.StatusNotFound {
				t.Errorf("%s: it cannot be deleted: %s %s", what, a.Status, a.text)
			}
			if opens := strings.Contains(codes.text, id); opens != slices.Contains(codeStays, column) {
				t.Errorf("%s: it has a code: %t", what, opens)
			}
			pgtest.Exec(t, s.db.SuperConn, "DELETE FROM avtotpy.accounts WHERE id = '"+id+"'")
		}
	}
}

// TestTimesOutOfReachFailNothing writes times that no program wrote into each column of a time that the web server
// reads, as an attacker does who damages rows, or a clock that was set back: pages answer, and no one is kept out.
func TestTimesOutOfReachFailNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	alice.add(map[string]any{"link": link})
	pgtest.Exec(t, s.db.SuperConn, "ALTER TABLE avtotpy.sessions DROP CONSTRAINT sessions_lifetime_check")
	columns := pgtest.Value[[]string](t, s.db.SuperConn, `
		SELECT array_agg(table_name || '.' || column_name::text ORDER BY table_name, column_name)
		FROM information_schema.columns
		WHERE table_schema = 'avtotpy' AND data_type = 'timestamp with time zone'
			AND table_name IN (
				SELECT relname FROM pg_class WHERE relnamespace = 'avtotpy'::regnamespace AND relkind = 'r')
			AND table_name NOT IN ('audit_log', 'schema_migrations')`) // which it does not read
	if len(columns) < 15 {
		t.Errorf("only %v", columns)
	}
	for _, column := range columns {
		table, name, _ := strings.Cut(column, ".")
		if strings.HasPrefix(table, "unauthenticated_") { // empty
			continue
		}
		for _, value := range []string{"infinity", "-infinity", "200000-01-01", "0044-03-15 BC"} {
			// Few, because all come from one address.
			logsIn := strings.HasSuffix(value, "infinity") &&
				slices.Contains([]string{"login_throttle", "passwords", "users"}, table)
			if logsIn && table == "login_throttle" {
				// is counted
				s.visitor().must(http.StatusUnauthorized, "POST", "/api/v1/session",
					map[string]any{"name": "alice", "password": "wrong"})
			}
			pgtest.Exec(t, s.db.SuperConn, `
				SET session_replication_role = replica;
				CREATE TABLE public.kept AS SELECT * FROM avtotpy.`+table+`;
				UPDATE avtotpy.`+table+` SET `+name+` = '`+value+`'`)
			for _, path := range []string{
				"/api/v1/codes", "/api/v1/sessions", "/api/v1/session", "/settings", "/",
				"/trash", "/login",
			} {
				if a := alice.ask("GET", path, nil); a.StatusCode >= 500 {
					t.Errorf("%s = %s: %s: %s %s", column, value, path, a.Status, a.text)
				}
			}
			in := map[string]any{"name": "alice", "password": password}
			if !logsIn {
			} else if a := s.visitor().ask("POST", "/api/v1/session", in); a.StatusCode != http.StatusOK {
				t.Errorf("%s = %s: a login: %s %s", column, value, a.Status, a.text)
			}
			if _, err := s.server.Store.Users(t.Context()); err != nil {
				t.Errorf("%s = %s: the list of users: %v", column, value, err)
			}
			pgtest.Exec(t, s.db.SuperConn, `
				SET session_replication_role = replica;
				DELETE FROM avtotpy.`+table+`;
				INSERT INTO avtotpy.`+table+` SELECT * FROM public.kept;
				DROP TABLE public.kept;
				DELETE FROM avtotpy.login_throttle`)
		}
	}
}
