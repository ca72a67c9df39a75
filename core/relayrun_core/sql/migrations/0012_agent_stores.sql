-- Which agents embed what goes into the store: through the runners of another, nothing is found by its meaning.

CREATE TABLE agent_stores (
    agent            text PRIMARY KEY,
    indexed          boolean NOT NULL,                          -- its langgraph.json has store.index
    registered_at    timestamptz NOT NULL DEFAULT now()
);
