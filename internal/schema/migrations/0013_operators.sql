-- What the web server's role may not do itself, and the program needs: to forget old rows
-- of the audit log, and to remove a user. And one row for many events that are the same.

ALTER TABLE avtotpy.audit_log
    ADD COLUMN count integer NOT NULL DEFAULT 1;

COMMENT ON COLUMN avtotpy.audit_log.count IS 'How often it happened since the row before of the same kind; above 1 only for security events.';
COMMENT ON COLUMN avtotpy.audit_log.actor_id IS 'Null for a security event, and for what an operator did with the command line.';
COMMENT ON COLUMN avtotpy.audit_log.actor_name IS 'As it was then; empty for a security event, "operator" and their system user for the command line.';
COMMENT ON COLUMN avtotpy.audit_log.subject_id IS 'The account, session, vault or user that it was done to.';

-- Nothing younger than 90 days, whatever is asked for: who got hold of the web server
-- cannot remove the traces of that. The oldest rows have the smallest ids.
CREATE FUNCTION avtotpy.sweep_audit_log(keep_days integer, at_most integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM avtotpy.audit_log
    WHERE id IN (SELECT id FROM avtotpy.audit_log ORDER BY id LIMIT least(greatest(at_most, 0), 10000))
      AND at < now() - least(greatest(keep_days, 90), 36500) * interval '1 day';
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END $$;

-- The web server's role may not delete users. Their rows go with them through foreign
-- keys; the audit log stays and names them.
CREATE FUNCTION avtotpy.remove_user(removed uuid, operator text, command text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF current_setting('avtotpy.operator', true) IS DISTINCT FROM 'on' THEN
        RAISE insufficient_privilege USING MESSAGE = 'users are removed by an operator';
    END IF;
    -- Two at once would each see the other one's user, and leave none.
    PERFORM pg_advisory_xact_lock(hashtextextended('avtotpy remove users', 0));
    IF NOT EXISTS (SELECT FROM avtotpy.users WHERE id = removed) THEN
        RETURN 'unknown';
    END IF;
    IF NOT EXISTS (SELECT FROM avtotpy.users WHERE id <> removed) THEN
        RETURN 'last';
    END IF;
    IF EXISTS (SELECT FROM avtotpy.vault_members m
               JOIN avtotpy.vaults v ON v.id = m.vault_id
               WHERE m.user_id = removed AND m.role = 'owner' AND v.personal_of IS DISTINCT FROM removed
                 AND NOT EXISTS (SELECT FROM avtotpy.vault_members o
                                 WHERE o.vault_id = m.vault_id AND o.role = 'owner' AND o.user_id <> removed)) THEN
        RETURN 'owner';
    END IF;
    DELETE FROM avtotpy.users WHERE id = removed;
    INSERT INTO avtotpy.audit_log (actor_name, action, subject_id, agent) VALUES (operator, 'user.delete', removed, command);
    RETURN 'removed';
END $$;

COMMENT ON FUNCTION avtotpy.sweep_audit_log(integer, integer) IS 'Deletes some of the oldest rows of the audit log, of those that are older than so many days and than 90; returns how many.';
COMMENT ON FUNCTION avtotpy.remove_user(uuid, text, text) IS 'Removes a user with their personal vault, for an operator: removed, or unknown, last, or owner of a vault that would have no other.';

REVOKE EXECUTE ON FUNCTION avtotpy.sweep_audit_log(integer, integer), avtotpy.remove_user(uuid, text, text) FROM PUBLIC;
