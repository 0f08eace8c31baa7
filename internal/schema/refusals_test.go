package schema_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/sqlstate"
)

// forbidden is what an attacker would try who can make the web server run SQL of their
// own. %w stands for the web role, %m for the migrator's, %d for the
// database and %p for another session.
var forbidden = map[string][]string{
	"reads or writes rows that are none of its business": {
		"SELECT FROM avtotpy.audit_log",
		"DELETE FROM avtotpy.users",
		"DELETE FROM avtotpy.passwords",
		"DELETE FROM avtotpy.authentication_key",
		"INSERT INTO avtotpy.unauthenticated_passwords SELECT id, 'x' FROM avtotpy.users",
		"INSERT INTO avtotpy.unauthenticated_sessions SELECT id, user_id, token_hash, created_at, expires_at FROM " +
			"avtotpy.sessions",
		"INSERT INTO avtotpy.unauthenticated_accounts SELECT vault_id, id, kind, algorithm, digits, period, " +
			"created_at FROM avtotpy.accounts",
		"INSERT INTO avtotpy.unauthenticated_members SELECT vault_id, user_id, role, created_at FROM " +
			"avtotpy.vault_members",
		"DELETE FROM avtotpy.vaults",
		"DELETE FROM avtotpy.vault_members",
		"DELETE FROM avtotpy.master_keys",
		"DELETE FROM avtotpy.hotp_counters",
		"SELECT FROM pg_authid",
		"SELECT FROM pg_shadow",
		"SELECT FROM pg_statistic",
		"SELECT FROM pg_largeobject",
		"UPDATE pg_class SET relacl = NULL",
		"DELETE FROM pg_depend",
	},
	"empties a table": {
		"TRUNCATE avtotpy.accounts", "TRUNCATE avtotpy.sessions", "TRUNCATE avtotpy.audit_log",
		"TRUNCATE avtotpy.migrations", "TRUNCATE avtotpy.users CASCADE",
	},
	"writes the ledger": {
		"INSERT INTO avtotpy.migrations SELECT * FROM avtotpy.migrations",
		"UPDATE avtotpy.migrations SET checksum = checksum",
		"DELETE FROM avtotpy.migrations",
		"SELECT 1; LOCK TABLE avtotpy.migrations IN SHARE ROW EXCLUSIVE MODE",
		"SELECT FROM avtotpy.migrations FOR UPDATE",
	},
	"edits the audit log": {
		"UPDATE avtotpy.audit_log SET action = ''",
		"DELETE FROM avtotpy.audit_log",
		"INSERT INTO avtotpy.audit_log (id, actor_name, action, agent) OVERRIDING SYSTEM VALUE VALUES (1, '', '', '')",
		"SELECT setval('avtotpy.audit_log_id_seq', 1)",
	},
	"removes a user as if no operator did": {
		"SELECT avtotpy.remove_user(id, '', '') FROM avtotpy.users",
		"SELECT avtotpy.remove_user(gen_random_uuid(), '', '')",
	},
	"back-dates": {
		"INSERT INTO avtotpy.audit_log (at, actor_name, action, agent) VALUES ('2020-01-01', 'x', 'x', 'x')",
		"INSERT INTO avtotpy.users (id, name, created_at) VALUES (gen_random_uuid(), 'x', '2020-01-01')",
		"INSERT INTO avtotpy.passwords (user_id, version, sealed, created_at) SELECT id, 1, '', '2020-01-01' FROM " +
			"avtotpy.users",
		"INSERT INTO avtotpy.vault_members (vault_id, user_id, role, created_at) SELECT id, id, 'owner', " +
			"'2020-01-01' FROM avtotpy.users",
		"INSERT INTO avtotpy.sessions (id, user_id, token_hash, agent, created_at, expires_at) SELECT " +
			"gen_random_uuid(), id, sha256(''), '', '2020-01-01', now() FROM avtotpy.users",
		"UPDATE avtotpy.users SET created_at = now()",
		"UPDATE avtotpy.accounts SET created_at = now()",
		"INSERT INTO avtotpy.accounts (created_at) VALUES ('2020-01-01')",
		"UPDATE avtotpy.sessions SET created_at = now()",
		"UPDATE avtotpy.vault_members SET created_at = now()",
	},
	"rewrites a secret, or whose it is": {
		"UPDATE avtotpy.accounts SET vault_id = id",
		"UPDATE avtotpy.accounts SET id = vault_id",
		"UPDATE avtotpy.accounts SET submission = id",
		"UPDATE avtotpy.users SET name = 'root'",
		"UPDATE avtotpy.users SET id = gen_random_uuid()",
		"UPDATE avtotpy.sessions SET expires_at = 'infinity'",
		"UPDATE avtotpy.sessions SET user_id = id",
		"UPDATE avtotpy.passwords SET version = version, sealed = sealed",
		"UPDATE avtotpy.unauthenticated_passwords SET password_hash = ''",
		"UPDATE avtotpy.unauthenticated_sessions SET token_hash = ''",
		"UPDATE avtotpy.unauthenticated_members SET role = 'owner'",
		"UPDATE avtotpy.unauthenticated_accounts SET digits = 4",
		"UPDATE avtotpy.vault_keys SET generation = 1",
		"UPDATE avtotpy.vaults SET personal_of = NULL",
		"UPDATE avtotpy.vault_members SET role = 'owner'",
		"UPDATE avtotpy.vault_members SET user_id = vault_id",
		"UPDATE avtotpy.master_keys SET check_value = check_value",
		"UPDATE avtotpy.vault_keys SET vault_id = vault_id",
		"UPDATE avtotpy.hotp_counters SET account_id = account_id",
	},
	"creates": {
		"CREATE TABLE avtotpy.t (id int)",
		"CREATE TABLE public.t (id int)",
		"CREATE TABLE avtotpy.t AS SELECT 1",
		"SELECT 1 AS a INTO avtotpy.t",
		"CREATE VIEW avtotpy.v AS SELECT 1",
		"CREATE MATERIALIZED VIEW avtotpy.v AS SELECT 1",
		"CREATE SEQUENCE avtotpy.s",
		"CREATE INDEX ON avtotpy.users (created_at)",
		"CREATE FUNCTION avtotpy.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE PROCEDURE avtotpy.p() LANGUAGE sql AS 'SELECT 1'",
		"CREATE AGGREGATE avtotpy.a (int) (SFUNC = int4pl, STYPE = int)",
		"CREATE TYPE avtotpy.e AS ENUM ('a')",
		"CREATE DOMAIN avtotpy.d AS text",
		"CREATE COLLATION avtotpy.c FROM \"C\"",
		"CREATE OPERATOR avtotpy.@@@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl)",
		"CREATE TEXT SEARCH CONFIGURATION avtotpy.c (COPY = simple)",
		"CREATE STATISTICS avtotpy.s ON id, name FROM avtotpy.users",
		"CREATE TRIGGER t BEFORE INSERT ON avtotpy.users EXECUTE FUNCTION suppress_redundant_updates_trigger()",
		"CREATE RULE r AS ON INSERT TO avtotpy.users DO ALSO NOTHING",
		"CREATE POLICY p ON avtotpy.accounts USING (true)",
		"CREATE EVENT TRIGGER t ON ddl_command_start EXECUTE FUNCTION suppress_redundant_updates_trigger()",
		"CREATE SCHEMA mine",
		"CREATE PUBLICATION p",
		"CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false)",
		"CREATE FOREIGN DATA WRAPPER w",
		"CREATE LANGUAGE l HANDLER plpgsql_call_handler",
		"CREATE CAST (int AS bytea) WITH INOUT",
		"CREATE ACCESS METHOD m TYPE TABLE HANDLER heap_tableam_handler",
		"CREATE ROLE mine",
		"CREATE DATABASE mine",
		"CREATE TABLESPACE t LOCATION '/tmp'",
	},
	"alters": {
		"ALTER TABLE avtotpy.users ADD COLUMN x int",
		"ALTER TABLE avtotpy.accounts DISABLE ROW LEVEL SECURITY",
		"ALTER TABLE avtotpy.users OWNER TO %w",
		"ALTER TABLE avtotpy.users DISABLE TRIGGER ALL",
		"ALTER TABLE avtotpy.accounts DISABLE TRIGGER version_grows",
		"DROP TRIGGER version_grows ON avtotpy.accounts",
		"SELECT avtotpy.version_grows()",
		"ALTER INDEX avtotpy.users_name_key RENAME TO x",
		"ALTER SEQUENCE avtotpy.audit_log_id_seq RESTART",
		"ALTER FUNCTION avtotpy.visible_vaults() RESET ALL",
		"ALTER POLICY members_see_them ON avtotpy.accounts USING (true)",
		"ALTER SCHEMA avtotpy RENAME TO x",
		"ALTER DATABASE %d RENAME TO x",
		"ALTER DATABASE %d SET search_path = public",
		"ALTER SYSTEM SET log_statement = 'none'",
		"COMMENT ON TABLE avtotpy.users IS ''",
		"COMMENT ON SCHEMA avtotpy IS ''",
		"REINDEX TABLE avtotpy.users",
		"CLUSTER avtotpy.users USING users_pkey",
		"ALTER DEFAULT PRIVILEGES FOR ROLE %m GRANT ALL ON TABLES TO %w",
	},
	"drops": {
		"DROP TABLE avtotpy.users CASCADE", "DROP INDEX avtotpy.users_name_key",
		"DROP FUNCTION avtotpy.visible_vaults() CASCADE",
		"DROP POLICY members_see_them ON avtotpy.accounts", "DROP SCHEMA avtotpy CASCADE", "DROP DATABASE %d",
		"DROP ROLE %m", "DROP OWNED BY %m", "DROP EXTENSION plpgsql",
	},
	"becomes somebody else": {
		"SET ROLE %m",
		"SET ROLE postgres",
		"SET SESSION AUTHORIZATION postgres",
		"ALTER ROLE %w SUPERUSER",
		"ALTER ROLE %w CREATEROLE",
		"ALTER ROLE %w CREATEDB",
		"ALTER ROLE %w BYPASSRLS",
		"ALTER ROLE %w REPLICATION",
		"ALTER ROLE %m RENAME TO x",
		"ALTER ROLE %m PASSWORD 'x'",
		"GRANT %m TO %w",
		"GRANT pg_read_all_data TO %w",
		"REASSIGN OWNED BY %m TO %w",
	},
	"reaches for the server": {
		"COPY avtotpy.users TO PROGRAM 'cat'",
		"COPY avtotpy.users (id, name) FROM PROGRAM 'cat'",
		"COPY avtotpy.users TO '/tmp/x'",
		"SELECT pg_read_file('/etc/passwd')",
		"SELECT pg_read_binary_file('/etc/passwd')",
		"SELECT pg_ls_dir('.')",
		"SELECT pg_stat_file('.')",
		"SELECT lo_import('/etc/passwd')",
		"SELECT pg_reload_conf()",
		"SELECT pg_rotate_logfile()",
		"SELECT pg_switch_wal()",
		"SELECT pg_create_restore_point('x')",
		"SELECT pg_terminate_backend(%p)",
		"SELECT pg_cancel_backend(%p)",
		"SELECT pg_stat_reset()",
		"SET session_replication_role = replica",
		"SET log_statement = 'none'",
		"LOAD 'plpgsql'",
		"CHECKPOINT",
	},
}

func TestTheWebRoleIsRefused(t *testing.T) {
	t.Parallel()
	for what, statements := range forbidden {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Migrated(t)
			pgtest.Exec(t, db.SuperConn, "INSERT INTO avtotpy.users (id, name) VALUES (gen_random_uuid(), 'Alice')")
			other := db.Connect(t, db.SuperConn) // for those who would end it
			fill := strings.NewReplacer("%w", db.WebRole, "%m", db.Migrator(), "%d", db.Name, "%p",
				strconv.Itoa(int(other.PgConn().PID()))).Replace
			conn := db.Connect(t, db.WebConn)
			for _, sql := range statements {
				_, err := conn.Exec(t.Context(), fill(sql))
				if sqlstate.Of(err) != sqlstate.InsufficientPrivilege {
					t.Errorf("%s: got %v, want 42501", fill(sql), err)
				}
			}
			if err := other.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// GRANT without the privilege to only warns, so here the catalogue is the proof.
func TestTheWebRoleHandsNothingOn(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	conn := db.Connect(t, db.WebConn)
	for _, sql := range []string{
		"GRANT SELECT ON avtotpy.users TO PUBLIC", "GRANT USAGE ON SCHEMA avtotpy TO PUBLIC",
		"GRANT EXECUTE ON FUNCTION avtotpy.visible_vaults() TO PUBLIC", "REVOKE SELECT ON avtotpy.users FROM " +
			db.Migrator(),
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v; then the list of the forbidden is the place for it", sql, err)
		}
	}
	const public = `
		SELECT count(*)
		FROM (
			SELECT relacl FROM pg_class WHERE relnamespace = 'avtotpy'::regnamespace
			UNION ALL SELECT nspacl FROM pg_namespace WHERE nspname = 'avtotpy'
			UNION ALL SELECT proacl FROM pg_proc WHERE pronamespace = 'avtotpy'::regnamespace
		) a (acl), aclexplode(acl)
		WHERE grantee = 0`
	if n := pgtest.Value[int](t, db.SuperConn, public); n != 0 {
		t.Errorf("PUBLIC was granted %d privileges", n)
	}
}

func TestTheWebRoleMakesNoTemporaryTablesWhereThatIsRevoked(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	pgtest.Exec(t, db.SuperConn, "REVOKE TEMPORARY ON DATABASE "+db.Name+" FROM PUBLIC")
	_, err := db.Connect(t, db.WebConn).Exec(t.Context(), "CREATE TEMPORARY TABLE t (id int)")
	if sqlstate.Of(err) != sqlstate.InsufficientPrivilege {
		t.Errorf("got %v, want 42501", err)
	}
}
