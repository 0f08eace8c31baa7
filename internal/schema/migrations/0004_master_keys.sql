CREATE TABLE avtotpy.master_keys (
    id          text        PRIMARY KEY,
    check_value bytea       NOT NULL CHECK (octet_length(check_value) = 32),
    created_at  timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE avtotpy.master_keys IS 'The master keys that something was sealed with. The keys themselves are outside of the database.';
COMMENT ON COLUMN avtotpy.master_keys.check_value IS 'Tells the key with this id from a wrong one, and nothing else about it.';
