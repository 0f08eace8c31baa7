CREATE TABLE avtotpy.vault_keys (
    vault_id      uuid        PRIMARY KEY REFERENCES avtotpy.vaults ON DELETE CASCADE,
    master_key_id text        NOT NULL REFERENCES avtotpy.master_keys,
    sealed_key    bytea       NOT NULL,
    sealed_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX vault_keys_master_key_id_idx ON avtotpy.vault_keys (master_key_id);

COMMENT ON TABLE avtotpy.vault_keys IS 'The data key of each vault.';
COMMENT ON COLUMN avtotpy.vault_keys.sealed_key IS 'AES-256-GCM by the master key, with the vault''s id as additional data.';
COMMENT ON COLUMN avtotpy.vault_keys.sealed_at IS 'When the master key last changed.';
