CREATE TABLE avtotpy.vault_members (
    vault_id   uuid        NOT NULL REFERENCES avtotpy.vaults ON DELETE CASCADE,
    user_id    uuid        NOT NULL REFERENCES avtotpy.users ON DELETE CASCADE,
    role       text        NOT NULL CHECK (role IN ('owner', 'editor', 'viewer')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vault_id, user_id)
);
CREATE INDEX vault_members_user_id_idx ON avtotpy.vault_members (user_id);

COMMENT ON TABLE avtotpy.vault_members IS 'Who sees a vault.';
COMMENT ON COLUMN avtotpy.vault_members.role IS 'A viewer reads codes, an editor changes accounts, an owner also decides who is a member.';
