-- A deleted account can be restored for 30 days.
ALTER TABLE avtotpy.accounts ADD COLUMN deleted_at timestamptz;
CREATE INDEX accounts_deleted_at_idx ON avtotpy.accounts (deleted_at) WHERE deleted_at IS NOT NULL;

COMMENT ON COLUMN avtotpy.accounts.deleted_at IS 'When the account was moved to the trash; null for one that is in use.';

-- A damaged account can be deleted too, and nothing of it can be sealed again: only a
-- change of what is sealed, or of what that is bound to, has to raise the version.
CREATE OR REPLACE TRIGGER version_grows
    BEFORE UPDATE OF kind, algorithm, digits, period, sealed_secret, sealed_issuer, sealed_name, sealed_note, version, generation
    ON avtotpy.accounts FOR EACH ROW EXECUTE FUNCTION avtotpy.version_grows();

-- The web server acts for one user at a time, and this is for all of them.
CREATE FUNCTION avtotpy.empty_trash(at_most integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    deleted bigint;
BEGIN
    WITH old AS (
        SELECT id FROM avtotpy.accounts
        WHERE deleted_at < now() - interval '30 days'
        ORDER BY deleted_at LIMIT least(greatest(at_most, 0), 10000)
        FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM avtotpy.accounts WHERE id IN (SELECT id FROM old) RETURNING id, vault_id
    )
    INSERT INTO avtotpy.audit_log (actor_name, action, subject_id, vault_id, agent)
    SELECT '', 'account.expire', id, vault_id, '' FROM gone;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END $$;

COMMENT ON FUNCTION avtotpy.empty_trash(integer) IS 'Deletes some of the accounts that have been in the trash for more than 30 days; returns how many.';
REVOKE EXECUTE ON FUNCTION avtotpy.empty_trash(integer) FROM PUBLIC;
