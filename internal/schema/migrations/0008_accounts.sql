CREATE TABLE avtotpy.accounts (
    id            uuid        PRIMARY KEY,
    vault_id      uuid        NOT NULL REFERENCES avtotpy.vaults ON DELETE CASCADE,
    submission    uuid        NOT NULL,
    kind          text        NOT NULL CHECK (kind IN ('totp', 'hotp', 'steam')),
    algorithm     text        NOT NULL CHECK (algorithm IN ('SHA1', 'SHA224', 'SHA256', 'SHA384', 'SHA512', 'MD5')),
    digits        smallint    NOT NULL CHECK (digits BETWEEN 4 AND 10),
    period        integer     NOT NULL CHECK (period BETWEEN 1 AND 86400),
    sealed_secret bytea       NOT NULL,
    sealed_issuer bytea       NOT NULL,
    sealed_name   bytea       NOT NULL,
    sealed_note   bytea       NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT accounts_submission_key UNIQUE (vault_id, submission)
);

COMMENT ON TABLE avtotpy.accounts IS 'Accounts elsewhere, and the secrets from which their codes are made.';
COMMENT ON COLUMN avtotpy.accounts.submission IS 'Chosen by the page that added it: a form that is sent twice adds one account.';
COMMENT ON COLUMN avtotpy.accounts.period IS 'In seconds.';
COMMENT ON COLUMN avtotpy.accounts.sealed_secret IS 'AES-256-GCM by the vault''s data key, with the account''s id and the column''s name as additional data.';
