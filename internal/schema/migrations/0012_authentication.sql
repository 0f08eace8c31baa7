-- migrate:min-version 12
-- Contracting: a program before this one finds no session and no password, and would
-- write rows that nothing authenticates.
--
-- What authorises is authenticated with a key that the database does not have: it is
-- sealed by the master key. Who can send SQL as the web server's role, and no more, can
-- add rows here and cannot make the program believe them.
CREATE TABLE avtotpy.authentication_key (
    id            boolean     PRIMARY KEY DEFAULT true CHECK (id),
    master_key_id text        NOT NULL REFERENCES avtotpy.master_keys,
    sealed_key    bytea       NOT NULL,
    sealed_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX authentication_key_master_key_id_idx ON avtotpy.authentication_key (master_key_id);

COMMENT ON TABLE avtotpy.authentication_key IS 'The key by which sessions, passwords, members and names are authenticated. One row.';
COMMENT ON COLUMN avtotpy.authentication_key.sealed_key IS 'AES-256-GCM by the master key.';
COMMENT ON COLUMN avtotpy.authentication_key.sealed_at IS 'When the master key last changed.';

-- Append-only for the web server: the highest version counts, and an older hash that
-- somebody kept cannot become the newest, because its version is sealed with it.
CREATE TABLE avtotpy.passwords (
    user_id    uuid        NOT NULL REFERENCES avtotpy.users ON DELETE CASCADE,
    version    bigint      NOT NULL CHECK (version > 0),
    sealed     bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, version)
);

COMMENT ON TABLE avtotpy.passwords IS 'Password hashes. The highest version of a user counts.';
COMMENT ON COLUMN avtotpy.passwords.sealed IS 'An argon2id PHC string, AES-256-GCM by the authentication key, with user and version as additional data.';

-- What was there before is authenticated once, by the next program that starts with the
-- master key. It reads these copies, to which the web server's role cannot add.
CREATE TABLE avtotpy.unauthenticated_passwords (
    user_id       uuid PRIMARY KEY REFERENCES avtotpy.users ON DELETE CASCADE,
    password_hash text NOT NULL
);
INSERT INTO avtotpy.unauthenticated_passwords (user_id, password_hash) SELECT id, password_hash FROM avtotpy.users;

ALTER TABLE avtotpy.users
    DROP COLUMN password_hash,
    ADD COLUMN name_mac bytea CONSTRAINT users_name_mac_key UNIQUE CHECK (octet_length(name_mac) = 32);

COMMENT ON TABLE avtotpy.unauthenticated_passwords IS 'Password hashes from before 0012 that are yet to be sealed. Empty afterwards.';
COMMENT ON COLUMN avtotpy.users.name_mac IS 'HMAC-SHA-256 of the name in lower case, by which it is looked up: what people type may be a password. Null until a program fills it in.';

-- No program has made a session that lasts longer.
DELETE FROM avtotpy.sessions WHERE expires_at > created_at + interval '12 hours';
CREATE TABLE avtotpy.unauthenticated_sessions (
    session_id uuid        PRIMARY KEY REFERENCES avtotpy.sessions ON DELETE CASCADE,
    user_id    uuid        NOT NULL,
    token_hash bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
INSERT INTO avtotpy.unauthenticated_sessions (session_id, user_id, token_hash, created_at, expires_at)
    SELECT id, user_id, token_hash, created_at, expires_at FROM avtotpy.sessions;

ALTER TABLE avtotpy.sessions
    ADD COLUMN mac bytea CHECK (octet_length(mac) = 32),
    ADD CONSTRAINT sessions_lifetime_check CHECK (expires_at <= created_at + interval '720 hours');

COMMENT ON TABLE avtotpy.unauthenticated_sessions IS 'Sessions from before 0012 that are yet to be authenticated. Empty afterwards.';
COMMENT ON COLUMN avtotpy.sessions.token_hash IS 'HMAC of the SHA-256 of the cookie, by the authentication key: who reads or writes this table cannot log in with it.';
COMMENT ON COLUMN avtotpy.sessions.mac IS 'HMAC of id, user, token_hash, created_at and expires_at, by the authentication key. Without it a session is none.';

CREATE TABLE avtotpy.unauthenticated_members (
    vault_id   uuid        NOT NULL,
    user_id    uuid        NOT NULL,
    role       text        NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (vault_id, user_id),
    FOREIGN KEY (vault_id, user_id) REFERENCES avtotpy.vault_members ON DELETE CASCADE
);
INSERT INTO avtotpy.unauthenticated_members (vault_id, user_id, role, created_at)
    SELECT vault_id, user_id, role, created_at FROM avtotpy.vault_members;

ALTER TABLE avtotpy.vault_members ADD COLUMN mac bytea CHECK (octet_length(mac) = 32);

COMMENT ON TABLE avtotpy.unauthenticated_members IS 'Members from before 0012 that are yet to be authenticated. Empty afterwards.';
COMMENT ON COLUMN avtotpy.vault_members.mac IS 'HMAC of vault, user, role and created_at, by the authentication key. Without it somebody is no member.';

ALTER TABLE avtotpy.unauthenticated_members ENABLE ROW LEVEL SECURITY;
CREATE POLICY operators_see_them ON avtotpy.unauthenticated_members FOR SELECT
    USING (current_setting('avtotpy.operator', true) = 'on');
CREATE POLICY operators_take_them ON avtotpy.unauthenticated_members FOR DELETE
    USING (current_setting('avtotpy.operator', true) = 'on');
CREATE POLICY operators_see_all ON avtotpy.vault_members FOR SELECT
    USING (current_setting('avtotpy.operator', true) = 'on');
CREATE POLICY operators_authenticate_them ON avtotpy.vault_members FOR UPDATE
    USING (current_setting('avtotpy.operator', true) = 'on');
