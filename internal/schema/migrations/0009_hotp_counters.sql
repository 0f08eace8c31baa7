-- Apart from accounts: a counter is the only thing about a secret that changes, and
-- the right to change it must not be one to change the rest.
CREATE TABLE avtotpy.hotp_counters (
    account_id uuid   PRIMARY KEY REFERENCES avtotpy.accounts ON DELETE CASCADE,
    counter    bigint NOT NULL CHECK (counter >= 0)
);

COMMENT ON TABLE avtotpy.hotp_counters IS 'Where counter-based accounts (RFC 4226) have got to.';
COMMENT ON COLUMN avtotpy.hotp_counters.counter IS 'Of the next code.';
