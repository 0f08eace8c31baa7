CREATE TABLE avtotpy.vaults (
    id          uuid        PRIMARY KEY,
    personal_of uuid        CONSTRAINT vaults_personal_of_key UNIQUE REFERENCES avtotpy.users ON DELETE CASCADE,
    name        text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE avtotpy.vaults IS 'What accounts live in and people share.';
COMMENT ON COLUMN avtotpy.vaults.personal_of IS 'The user with whom the vault came and goes; null for a shared one.';
