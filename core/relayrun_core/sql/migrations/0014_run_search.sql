-- Finding runs across threads. A search walks one of these indexes, newest first, whoever owns how many runs.

CREATE INDEX runs_created ON runs (created_at DESC, run_id DESC);
CREATE INDEX runs_owner_created ON runs (owner, created_at DESC, run_id DESC);
CREATE INDEX runs_graph_created ON runs (graph, created_at DESC, run_id DESC);

-- Most runs succeed. What people look for is the rest; unfinished runs have indexes of their own.
CREATE INDEX runs_status_created ON runs (status, created_at DESC, run_id DESC)
    WHERE status IN ('interrupted', 'error', 'timeout', 'cancelled');
