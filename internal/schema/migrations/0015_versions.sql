-- migrate:min-version 15
-- Contracting: a program before this one cannot open what is sealed with a version, and
-- would seal without.
--
-- The sealed fields of an account are bound to the version of its row, which only grows,
-- and to when the row was made, which nobody can choose: an older field does not open,
-- nor one of a row that was deleted and added again. The secret is bound to how codes are
-- made from it, too. The key of a vault can be replaced: its generations count from 1.

-- Policies of vault_keys cannot ask vault_keys.
CREATE FUNCTION avtotpy.newest_generation(of_vault uuid) RETURNS integer
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$ BEGIN RETURN coalesce((SELECT max(generation) FROM avtotpy.vault_keys WHERE vault_id = of_vault), 0); END $$;

COMMENT ON FUNCTION avtotpy.newest_generation(uuid) IS 'Of the keys of a vault; 0 while it has none.';
REVOKE EXECUTE ON FUNCTION avtotpy.newest_generation(uuid) FROM PUBLIC;

ALTER TABLE avtotpy.vault_keys
    ADD COLUMN generation integer NOT NULL DEFAULT 1 CHECK (generation > 0),
    DROP CONSTRAINT vault_keys_pkey,
    ADD PRIMARY KEY (vault_id, generation);
ALTER TABLE avtotpy.vault_keys ALTER COLUMN generation DROP DEFAULT;

COMMENT ON TABLE avtotpy.vault_keys IS 'The data keys of each vault. The newest generation seals; an older one is there while data keys are rotated.';
COMMENT ON COLUMN avtotpy.vault_keys.sealed_key IS 'AES-256-GCM by the master key, with the vault''s id and the generation as additional data.';

-- A key that was replaced never comes back, and the newest one never goes: who keeps an
-- old one could make a vault use it again.
DROP POLICY owners_add_it ON avtotpy.vault_keys;
CREATE POLICY owners_add_it ON avtotpy.vault_keys FOR INSERT
    WITH CHECK (vault_id = ANY ((SELECT avtotpy.owned_vaults())::uuid[]) AND generation = avtotpy.newest_generation(vault_id) + 1);
CREATE POLICY operators_replace_them ON avtotpy.vault_keys FOR INSERT
    WITH CHECK (current_setting('avtotpy.operator', true) = 'on' AND generation = avtotpy.newest_generation(vault_id) + 1);
CREATE POLICY operators_remove_old_ones ON avtotpy.vault_keys FOR DELETE
    USING (current_setting('avtotpy.operator', true) = 'on' AND generation < avtotpy.newest_generation(vault_id));

ALTER TABLE avtotpy.accounts
    ADD COLUMN version bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    ADD COLUMN generation integer NOT NULL DEFAULT 1;
ALTER TABLE avtotpy.accounts
    ALTER COLUMN version DROP DEFAULT,
    ALTER COLUMN generation DROP DEFAULT,
    -- A key that seals something cannot be removed, also not while an account is being added.
    ADD CONSTRAINT accounts_generation_fkey FOREIGN KEY (vault_id, generation) REFERENCES avtotpy.vault_keys;
CREATE INDEX accounts_vault_id_generation_idx ON avtotpy.accounts (vault_id, generation);

COMMENT ON COLUMN avtotpy.accounts.version IS 'Of the row, one more with each change. 0 is from before 0015.';
COMMENT ON COLUMN avtotpy.accounts.generation IS 'Of the vault''s key that sealed the fields.';
COMMENT ON COLUMN avtotpy.accounts.sealed_secret IS 'AES-256-GCM by the vault''s data key, with id, created_at, version, the column''s name, kind, algorithm, digits and period as additional data.';

CREATE FUNCTION avtotpy.version_grows() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$ BEGIN
        IF NEW.version <= OLD.version THEN
            RAISE EXCEPTION 'the version of % in % has to grow with each change', OLD.id, TG_TABLE_NAME USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$;
COMMENT ON FUNCTION avtotpy.version_grows() IS 'Refuses a change that does not raise the version.';
REVOKE EXECUTE ON FUNCTION avtotpy.version_grows() FROM PUBLIC;
CREATE TRIGGER version_grows BEFORE UPDATE ON avtotpy.accounts FOR EACH ROW EXECUTE FUNCTION avtotpy.version_grows();

-- Who keeps the token that a session had, and what was written for it, does not get it back.
ALTER TABLE avtotpy.sessions ADD COLUMN version bigint NOT NULL DEFAULT 1 CHECK (version > 0);
CREATE TRIGGER version_grows BEFORE UPDATE OF token_hash, mac, version ON avtotpy.sessions
    FOR EACH ROW EXECUTE FUNCTION avtotpy.version_grows();

COMMENT ON COLUMN avtotpy.sessions.version IS 'One more with each token that the session gets.';
COMMENT ON COLUMN avtotpy.sessions.mac IS 'HMAC of id, user, token_hash, created_at, expires_at and version, by the authentication key. Without it a session is none.';

-- As with sessions (0012): only what was there now may be opened as it was sealed then.
CREATE TABLE avtotpy.unauthenticated_accounts (
    vault_id   uuid        NOT NULL,
    account_id uuid        NOT NULL REFERENCES avtotpy.accounts ON DELETE CASCADE,
    kind       text        NOT NULL,
    algorithm  text        NOT NULL,
    digits     smallint    NOT NULL,
    period     integer     NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (vault_id, account_id)
);
CREATE INDEX unauthenticated_accounts_account_id_idx ON avtotpy.unauthenticated_accounts (account_id);
INSERT INTO avtotpy.unauthenticated_accounts (vault_id, account_id, kind, algorithm, digits, period, created_at)
    SELECT vault_id, id, kind, algorithm, digits, period, created_at FROM avtotpy.accounts;
COMMENT ON TABLE avtotpy.unauthenticated_accounts IS 'Accounts from before 0015 that are yet to be sealed with a version. Empty afterwards.';

ALTER TABLE avtotpy.unauthenticated_accounts ENABLE ROW LEVEL SECURITY;
CREATE POLICY operators_see_them ON avtotpy.unauthenticated_accounts FOR SELECT
    USING (current_setting('avtotpy.operator', true) = 'on');
CREATE POLICY operators_take_them ON avtotpy.unauthenticated_accounts FOR DELETE
    USING (current_setting('avtotpy.operator', true) = 'on');
