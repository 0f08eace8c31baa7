-- No foreign keys: a cascade ignores what the role may do, and deleting a user or
-- a vault would delete what they did.
CREATE TABLE avtotpy.audit_log (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    actor_id   uuid,
    actor_name text        NOT NULL,
    action     text        NOT NULL,
    subject_id uuid,
    vault_id   uuid,
    address    inet,
    agent      text        NOT NULL
);
CREATE INDEX audit_log_actor_id_at_idx ON avtotpy.audit_log (actor_id, at);
CREATE INDEX audit_log_vault_id_at_idx ON avtotpy.audit_log (vault_id, at);

COMMENT ON TABLE avtotpy.audit_log IS 'Who did what, when, and from where. The web server can only add to it.';
COMMENT ON COLUMN avtotpy.audit_log.actor_id IS 'Null for a failed login.';
COMMENT ON COLUMN avtotpy.audit_log.actor_name IS 'As it was then; empty for a failed login with a name that nobody has.';
COMMENT ON COLUMN avtotpy.audit_log.action IS 'A verb and a noun, as in account.create.';
COMMENT ON COLUMN avtotpy.audit_log.subject_id IS 'The account, session or vault that it was done to.';
