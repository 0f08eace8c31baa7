package schema

import (
	"slices"

	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// Privileges declares what the web server's role may do, object by object. What
// is not here is forbidden, and a privilege that the role has beyond it is revoked at
// the next start. Columns are listed where a verb is limited to some.
//
// Row security is on where policies decide which rows of a table are for the acting user.
//
// A row that holds created_at or at gets them from the server: they can't be
// back-dated. Ids, owners and secrets can't be rewritten.
func Privileges() []privilege.Privilege {
	return slices.Concat(logins(), vaults(), unauthenticated(), accounts(), auditLog(), functions())
}

// logins are the privileges on what users log in with.
func logins() []privilege.Privilege {
	return []privilege.Privilege{
		{
			On: "TABLE users", Allow: "SELECT, INSERT (id, name, name_mac), UPDATE (name_mac)",
			Why: "a name stays; users from before 0012 get the MAC by which names are looked up",
		},
		{
			On: "TABLE authentication_key", Allow: "SELECT, INSERT (master_key_id, sealed_key), UPDATE " +
				"(master_key_id, sealed_key, sealed_at)",
			Why: "made at the first start; rotating master keys seals the same key again",
		},
		{
			On: "TABLE passwords", Allow: "SELECT, INSERT (user_id, version, sealed)",
			Why: "append only: people change their password, and a login rehashes it when the cost has risen",
		},
		{
			On: "TABLE sessions", Allow: "SELECT, INSERT (id, user_id, token_hash, address, agent, expires_at, " +
				"mac), UPDATE (last_seen_at, token_hash, mac, version), DELETE",
			Why: "a session that is in use moves on, and has another token after its user's password was entered; " +
				"logging out deletes it; " +
				"those from before 0012 are authenticated",
		},
		{
			On: "TABLE devices", Allow: "SELECT, INSERT (id, user_id, token_mac), UPDATE (last_used_at), DELETE",
			Why: "a login makes a device known; a changed password forgets the others",
		},
		{
			On: "TABLE login_throttle", Allow: "SELECT, INSERT, UPDATE (failures, failed_at, wait_until), DELETE",
			Why: "failures are counted, and forgotten after a success",
		},
		{
			On: "TABLE master_keys", Allow: "SELECT, INSERT (id, check_value)",
			Why: "the check value of a key that is seen for the first time; it never changes",
		},
	}
}

// vaults are the privileges on vaults, their keys and their members.
func vaults() []privilege.Privilege {
	return []privilege.Privilege{
		{
			On: "TABLE vaults", RowSecurity: true, Allow: "SELECT, INSERT (id, personal_of, name)",
			Why: "each user comes with a personal vault, and it stays theirs",
		},
		{
			On: "TABLE vault_keys", RowSecurity: true,
			Allow: "SELECT, INSERT (vault_id, generation, master_key_id, sealed_key), UPDATE (master_key_id, " +
				"sealed_key, sealed_at), DELETE",
			Why: "rotating master keys seals the same data key again; rotating data keys adds a generation, and " +
				"removes the one before",
		},
		{
			On: "TABLE vault_members", RowSecurity: true,
			Allow: "SELECT, INSERT (vault_id, user_id, role, mac), UPDATE (mac)",
			Why: "the owner of a new vault; row level security lets no user into another's. Members from before 0012 " +
				"are authenticated",
		},
	}
}

// unauthenticated are the privileges on what migrations copied, so that a program authenticates it once.
func unauthenticated() []privilege.Privilege {
	return []privilege.Privilege{
		{
			On: "TABLE unauthenticated_passwords", Allow: "SELECT, DELETE",
			Why: "what a migration copied is authenticated once; nothing can be added to it",
		},
		{On: "TABLE unauthenticated_sessions", Allow: "SELECT, DELETE", Why: "the same"},
		{On: "TABLE unauthenticated_members", RowSecurity: true, Allow: "SELECT, DELETE", Why: "the same"},
		{On: "TABLE unauthenticated_accounts", RowSecurity: true, Allow: "SELECT, DELETE", Why: "the same"},
	}
}

// accounts are the privileges on what vaults hold.
func accounts() []privilege.Privilege {
	return []privilege.Privilege{
		{
			On: "TABLE accounts", RowSecurity: true,
			Allow: "SELECT, INSERT (id, vault_id, submission, kind, algorithm, digits, period, sealed_secret, " +
				"sealed_issuer, sealed_name, sealed_note, " +
				"version, generation), UPDATE (kind, algorithm, digits, period, sealed_secret, sealed_issuer, " +
				"sealed_name, sealed_note, " +
				"version, generation, updated_at, deleted_at), DELETE",
			Why: "a change seals all fields again, with a higher version; the secret opens only with how its " +
				"codes are made",
		},
		{
			On: "TABLE hotp_counters", RowSecurity: true, Allow: "SELECT, INSERT, UPDATE (counter)",
			Why: "a counter goes with its account, through the foreign key",
		},
	}
}

// auditLog is the privilege on the audit log.
func auditLog() []privilege.Privilege {
	return []privilege.Privilege{
		{
			On: "TABLE audit_log", Allow: "INSERT (actor_id, actor_name, action, subject_id, vault_id, address, " +
				"agent, count)",
			Why: "append only: it can be neither read nor edited by the web server, and only what is old is " +
				"deleted, by a function",
		},
	}
}

// functions are the privileges on what the web role calls, and on what the server calls for it.
func functions() []privilege.Privilege {
	return []privilege.Privilege{
		{
			On: "FUNCTION empty_trash(integer)", Allow: "EXECUTE",
			Why: "deletes what has been in the trash for 30 days, of all users",
		},
		{
			On: "FUNCTION acting_user()", Allow: "EXECUTE",
			Why: "the policies of row level security call it with the privileges of the caller",
		},
		{On: "FUNCTION visible_vaults()", Allow: "EXECUTE", Why: "the same"},
		{On: "FUNCTION editable_vaults()", Allow: "EXECUTE", Why: "the same"},
		{On: "FUNCTION owned_vaults()", Allow: "EXECUTE", Why: "the same"},
		{
			On: "FUNCTION sweep_audit_log(integer, integer)", Allow: "EXECUTE",
			Why: "the audit log is kept for as long as the operator says; it deletes nothing that is younger " +
				"than 90 days",
		},
		{
			On: "FUNCTION remove_user(uuid, text, text)", Allow: "EXECUTE",
			Why: "avtotpy user remove; it refuses the last user, and leaves a row in the audit log",
		},
		{On: "FUNCTION unclaimed_vault()", Allow: "EXECUTE", Why: "the same"},
		{On: "FUNCTION newest_generation(uuid)", Allow: "EXECUTE", Why: "the same"},
		{On: "FUNCTION version_grows()", Allow: "", Why: "a trigger, which the server runs"},
	}
}
