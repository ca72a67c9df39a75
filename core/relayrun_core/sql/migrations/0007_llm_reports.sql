-- What runners heard when they asked their agents' language models for a list of models.

CREATE TABLE llm_reports (
    holder           uuid NOT NULL,                             -- the runner process
    endpoint         text NOT NULL,                             -- what the runner calls it; no key is in it
    agent            text NOT NULL,
    status           text NOT NULL CHECK (status IN ('ok', 'down')),
    reason           text,                                      -- why it is down: a sentence, without a key
    checked_at       timestamptz NOT NULL DEFAULT now(),
    good_until       timestamptz NOT NULL,                      -- then its runner is gone, or would have told anew
    PRIMARY KEY (holder, endpoint)
);
