-- Up to where old rows were removed, so that nobody looks through them again. Whoever removes some has locked the row.

CREATE TABLE tidied (
    rows_of          text PRIMARY KEY,                          -- a table
    finished_at      timestamptz NOT NULL,                      -- of the run behind which there is more
    run_id           uuid NOT NULL
);
INSERT INTO tidied VALUES ('run_events', 'epoch', '00000000-0000-0000-0000-000000000000');
