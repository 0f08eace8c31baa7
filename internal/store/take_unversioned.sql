-- Takes some of the accounts of a vault that were sealed without a version, and says whether they are still as they
-- were when they were copied.
-- $1 the vault, $2 how many at most
WITH taken AS (
    DELETE FROM avtotpy.unauthenticated_accounts
    WHERE vault_id = $1 AND account_id IN (
        SELECT account_id FROM avtotpy.unauthenticated_accounts WHERE vault_id = $1 ORDER BY account_id LIMIT $2)
    RETURNING *
)
SELECT t.account_id, t.kind, t.algorithm, t.digits, t.period, t.created_at,
    a.id IS NOT NULL AND k.vault_id IS NOT NULL, a.sealed_secret, a.sealed_issuer, a.sealed_name, a.sealed_note,
    coalesce(k.generation, 0), coalesce(k.master_key_id, ''), k.sealed_key
FROM taken t
LEFT JOIN avtotpy.accounts a
    ON a.id = t.account_id AND a.vault_id = t.vault_id AND a.version = 0 AND a.created_at = t.created_at
    AND a.kind = t.kind AND a.algorithm = t.algorithm AND a.digits = t.digits AND a.period = t.period
LEFT JOIN avtotpy.vault_keys k ON k.vault_id = a.vault_id AND k.generation = a.generation
