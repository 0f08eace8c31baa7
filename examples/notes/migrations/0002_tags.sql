CREATE TABLE notes.tags (
    note_id bigint NOT NULL REFERENCES notes.notes ON DELETE CASCADE,
    name    text   NOT NULL,
    PRIMARY KEY (note_id, name)
);
