-- What author code prints and logs while a run executes.

-- Lines of one attempt, a batch a row. No state: they are written outside the fence, and name their attempt.
CREATE TABLE run_logs (
    run_id           uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    attempt          integer NOT NULL,
    first            integer NOT NULL,                          -- the number of the first line, from 1 in each attempt
    last             integer NOT NULL,
    lines            text NOT NULL,                             -- a JSON array; each line has its number as `n`
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, attempt, first)
);
