-- Assistants, and what runners report of their agents.

-- Assistants that owners make, and what admins change of the graphs' default ones. Every change is a new version.
CREATE TABLE assistants (
    assistant_id     uuid PRIMARY KEY,
    owner            text,
    agent            text NOT NULL,
    graph            text NOT NULL,
    name             text NOT NULL,
    description      text,
    config           jsonb NOT NULL DEFAULT '{}',
    context          jsonb NOT NULL DEFAULT '{}',
    metadata         jsonb NOT NULL DEFAULT '{}',
    version          integer NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    newest           integer NOT NULL DEFAULT 1,                -- the highest version number that was given
    is_default       boolean NOT NULL DEFAULT false             -- a graph's own: everybody's, for as long as its graph
);
CREATE INDEX assistants_owner ON assistants (owner, created_at DESC);
CREATE INDEX assistants_metadata ON assistants USING gin (metadata jsonb_path_ops);

CREATE TABLE assistant_versions (
    assistant_id     uuid NOT NULL REFERENCES assistants ON DELETE CASCADE,
    version          integer NOT NULL,
    graph            text NOT NULL,
    name             text NOT NULL,
    description      text,
    config           jsonb NOT NULL,
    context          jsonb NOT NULL,
    metadata         jsonb NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    agent            text NOT NULL,
    PRIMARY KEY (assistant_id, version)
);

-- The graphs that runners found in their agent's code.
CREATE TABLE graphs (
    agent            text NOT NULL,
    graph            text NOT NULL,
    build            text NOT NULL,
    description      text,
    schemas          jsonb NOT NULL DEFAULT '{}',               -- input, output, state, config, context
    drawing          jsonb NOT NULL DEFAULT '{}',
    registered_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent, graph, build)
);

-- Which agents embed what goes into the store: through the runners of another agent, nothing is found by its meaning.
CREATE TABLE agent_stores (
    agent            text PRIMARY KEY,
    indexed          boolean NOT NULL,                          -- its langgraph.json has store.index
    registered_at    timestamptz NOT NULL DEFAULT now()
);

-- What runners got when they asked their agents' language models for a list of models.
CREATE TABLE llm_reports (
    holder           uuid NOT NULL,                             -- the runner process
    endpoint         text NOT NULL,                             -- what the runner calls it; no key is in it
    agent            text NOT NULL,
    status           text NOT NULL CHECK (status IN ('ok', 'down')),
    reason           text,                                      -- why it is down: a sentence, without a key
    checked_at       timestamptz NOT NULL DEFAULT now(),
    good_until       timestamptz NOT NULL,                      -- then its runner is gone, or would have reported again
    PRIMARY KEY (holder, endpoint)
);
