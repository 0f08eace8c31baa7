CREATE TABLE avtotpy.users (
    id            uuid        PRIMARY KEY,
    name          text        NOT NULL CHECK (name = btrim(name) AND char_length(name) BETWEEN 1 AND 100),
    password_hash text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
-- Alice and alice are one person.
CREATE UNIQUE INDEX users_name_key ON avtotpy.users (lower(name));

COMMENT ON TABLE avtotpy.users IS 'People who log in.';
COMMENT ON COLUMN avtotpy.users.password_hash IS 'argon2id, as a PHC string.';
