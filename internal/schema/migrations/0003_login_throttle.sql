-- One row for each name that somebody fails to log in with, whether there is such
-- a user or not: the answer must not tell.
CREATE TABLE avtotpy.login_throttle (
    name_mac   bytea       PRIMARY KEY CHECK (octet_length(name_mac) = 32),
    failures   integer     NOT NULL CHECK (failures > 0),
    failed_at  timestamptz NOT NULL DEFAULT now(),
    wait_until timestamptz NOT NULL
);
CREATE INDEX login_throttle_failed_at_idx ON avtotpy.login_throttle (failed_at);

COMMENT ON TABLE avtotpy.login_throttle IS 'Failed logins in a row, and how long the next one has to wait.';
COMMENT ON COLUMN avtotpy.login_throttle.name_mac IS 'HMAC-SHA-256 of the name: people type their password into the wrong field.';
