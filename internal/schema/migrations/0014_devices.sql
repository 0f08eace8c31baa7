-- A browser that a user has logged in with. The throttles of strangers do not delay it, so that who knows a name
-- does not keep its owner out.
CREATE TABLE avtotpy.devices (
    id           uuid        PRIMARY KEY,
    user_id      uuid        NOT NULL REFERENCES avtotpy.users ON DELETE CASCADE,
    token_mac    bytea       NOT NULL CONSTRAINT devices_token_mac_key UNIQUE CHECK (octet_length(token_mac) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX devices_user_id_last_used_at_idx ON avtotpy.devices (user_id, last_used_at);

COMMENT ON TABLE avtotpy.devices IS 'Browsers that users have logged in with. They are no way in: a password is needed all the same.';
COMMENT ON COLUMN avtotpy.devices.token_mac IS 'HMAC-SHA-256 of user and cookie: who writes this table makes no device known.';
COMMENT ON COLUMN avtotpy.devices.last_used_at IS 'Of the last login. A device is known for 180 days after it.';

-- Counts are for a name and a network, a name, or a name and a device.
COMMENT ON TABLE avtotpy.login_throttle IS 'Attempts to log in, and how long the next one has to wait.';
COMMENT ON COLUMN avtotpy.login_throttle.name_mac IS 'HMAC-SHA-256 of the name, and of the network or device: people type their password into the wrong field.';
COMMENT ON COLUMN avtotpy.login_throttle.failures IS 'Attempts in a row; an hour without one clears them.';
COMMENT ON COLUMN avtotpy.login_throttle.wait_until IS 'When the next attempt may be made; for a name alone, when all attempts are there again.';

COMMENT ON COLUMN avtotpy.sessions.last_seen_at IS 'When a person last did something. After 15 minutes the session is locked, and needs the password to go on.';
