-- migrate:min-version 11
-- Contracting: a program before this one names no acting user, and would find every
-- vault empty.
--
-- A second wall. Each query of the web server asks for what is its user's; where one
-- forgets to, these policies still show it nothing else. They read two settings that
-- the server makes for a transaction at a time: avtotpy.user_id, the acting user, and
-- avtotpy.operator, on while master keys are checked or rotated. With neither, nothing
-- is visible.
--
-- The tables' owner is not held by them (no FORCE): migrations, foreign keys and the
-- functions below have to see every row.
--
-- pg_temp is named last, because it is searched first where it is not named: the
-- functions run with the rights of their owner, and must not meet what a caller made.

CREATE FUNCTION avtotpy.acting_user() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    -- A setting that was made once is empty afterwards, not null.
    RETURN nullif(current_setting('avtotpy.user_id', true), '')::uuid;

-- These four read vault_members around its own policies, which call them. They give
-- arrays, for = ANY ((SELECT f())::uuid[]): that is asked once for a query, and then an
-- index finds the rows. IN (SELECT unnest(f())) reads the whole table.

-- Every read asks this one, once for each table in it. PL/pgSQL keeps its plan; SQL,
-- before PostgreSQL 18, would plan it each time, for as long as the list itself takes.
CREATE FUNCTION avtotpy.visible_vaults() RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$ BEGIN RETURN ARRAY(SELECT vault_id FROM avtotpy.vault_members WHERE user_id = avtotpy.acting_user()); END $$;

CREATE FUNCTION avtotpy.editable_vaults() RETURNS uuid[]
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    RETURN ARRAY(SELECT vault_id FROM avtotpy.vault_members WHERE user_id = avtotpy.acting_user() AND role IN ('owner', 'editor'));

CREATE FUNCTION avtotpy.owned_vaults() RETURNS uuid[]
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    RETURN ARRAY(SELECT vault_id FROM avtotpy.vault_members WHERE user_id = avtotpy.acting_user() AND role = 'owner');

CREATE FUNCTION avtotpy.unclaimed_vault() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    RETURN (SELECT v.id FROM avtotpy.vaults v
            WHERE v.personal_of = avtotpy.acting_user() AND NOT EXISTS (SELECT FROM avtotpy.vault_members m WHERE m.vault_id = v.id));

COMMENT ON FUNCTION avtotpy.acting_user() IS 'For whom the transaction acts; null when nobody was named.';
COMMENT ON FUNCTION avtotpy.visible_vaults() IS 'The vaults that the acting user is a member of.';
COMMENT ON FUNCTION avtotpy.editable_vaults() IS 'The vaults whose accounts the acting user may change.';
COMMENT ON FUNCTION avtotpy.owned_vaults() IS 'The vaults whose members the acting user decides on.';
COMMENT ON FUNCTION avtotpy.unclaimed_vault() IS 'The personal vault of the acting user while it has no member; null afterwards.';

-- The web server's role is granted them, as it is granted the tables.
REVOKE EXECUTE ON FUNCTION avtotpy.acting_user(), avtotpy.visible_vaults(), avtotpy.editable_vaults(), avtotpy.owned_vaults(), avtotpy.unclaimed_vault() FROM PUBLIC;

ALTER TABLE avtotpy.vaults ENABLE ROW LEVEL SECURITY;
ALTER TABLE avtotpy.vault_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE avtotpy.vault_members ENABLE ROW LEVEL SECURITY;
ALTER TABLE avtotpy.accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE avtotpy.hotp_counters ENABLE ROW LEVEL SECURITY;

-- A command without a policy is refused, and none has one that nobody is granted.

CREATE POLICY members_see_it ON avtotpy.vaults FOR SELECT
    USING (id = ANY ((SELECT avtotpy.visible_vaults())::uuid[]));
CREATE POLICY users_make_their_personal_one ON avtotpy.vaults FOR INSERT
    WITH CHECK (personal_of = (SELECT avtotpy.acting_user()));

CREATE POLICY members_see_them ON avtotpy.vault_members FOR SELECT
    USING (vault_id = ANY ((SELECT avtotpy.visible_vaults())::uuid[]));
CREATE POLICY owners_add_members ON avtotpy.vault_members FOR INSERT
    WITH CHECK (vault_id = ANY ((SELECT avtotpy.owned_vaults())::uuid[]));
-- The first member has nobody to be added by. No one else gets into a vault alone.
CREATE POLICY users_claim_their_personal_one ON avtotpy.vault_members FOR INSERT
    WITH CHECK (vault_id = (SELECT avtotpy.unclaimed_vault()) AND user_id = (SELECT avtotpy.acting_user()) AND role = 'owner');

CREATE POLICY members_use_it ON avtotpy.vault_keys FOR SELECT
    USING (vault_id = ANY ((SELECT avtotpy.visible_vaults())::uuid[]));
CREATE POLICY owners_add_it ON avtotpy.vault_keys FOR INSERT
    WITH CHECK (vault_id = ANY ((SELECT avtotpy.owned_vaults())::uuid[]));
-- Master keys are checked and rotated for all vaults at once, in nobody's name. Only
-- then does a key change: another one would make everything in its vault unreadable.
CREATE POLICY operators_see_all ON avtotpy.vault_keys FOR SELECT
    USING (current_setting('avtotpy.operator', true) = 'on');
CREATE POLICY operators_reseal_them ON avtotpy.vault_keys FOR UPDATE
    USING (current_setting('avtotpy.operator', true) = 'on');

CREATE POLICY members_see_them ON avtotpy.accounts FOR SELECT
    USING (vault_id = ANY ((SELECT avtotpy.visible_vaults())::uuid[]));
CREATE POLICY editors_add_them ON avtotpy.accounts FOR INSERT
    WITH CHECK (vault_id = ANY ((SELECT avtotpy.editable_vaults())::uuid[]));
CREATE POLICY editors_change_them ON avtotpy.accounts FOR UPDATE
    USING (vault_id = ANY ((SELECT avtotpy.editable_vaults())::uuid[]));
CREATE POLICY editors_delete_them ON avtotpy.accounts FOR DELETE
    USING (vault_id = ANY ((SELECT avtotpy.editable_vaults())::uuid[]));

-- Whose an account is, its own policies say: a subquery here is held by them.
CREATE POLICY members_see_them ON avtotpy.hotp_counters FOR SELECT
    USING (EXISTS (SELECT FROM avtotpy.accounts a WHERE a.id = account_id));
CREATE POLICY editors_add_them ON avtotpy.hotp_counters FOR INSERT
    WITH CHECK (EXISTS (SELECT FROM avtotpy.accounts a WHERE a.id = account_id AND a.vault_id = ANY ((SELECT avtotpy.editable_vaults())::uuid[])));
-- Viewers too: to read a code is to use it up.
CREATE POLICY members_use_them_up ON avtotpy.hotp_counters FOR UPDATE
    USING (EXISTS (SELECT FROM avtotpy.accounts a WHERE a.id = account_id));
