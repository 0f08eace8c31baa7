CREATE TABLE avtotpy.sessions (
    id           uuid        PRIMARY KEY,
    user_id      uuid        NOT NULL REFERENCES avtotpy.users ON DELETE CASCADE,
    token_hash   bytea       NOT NULL CONSTRAINT sessions_token_hash_key UNIQUE CHECK (octet_length(token_hash) = 32),
    address      inet,
    agent        text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL
);
CREATE INDEX sessions_user_id_idx ON avtotpy.sessions (user_id);
-- Old sessions are swept by it.
CREATE INDEX sessions_expires_at_idx ON avtotpy.sessions (expires_at);

COMMENT ON TABLE avtotpy.sessions IS 'Where somebody is logged in.';
COMMENT ON COLUMN avtotpy.sessions.token_hash IS 'SHA-256 of the cookie; who reads this table cannot log in with it.';
COMMENT ON COLUMN avtotpy.sessions.address IS 'Of the login; null when it is not known.';
COMMENT ON COLUMN avtotpy.sessions.expires_at IS 'When it ends however much it is used.';
