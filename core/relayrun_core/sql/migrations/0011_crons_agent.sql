-- Crons keep the agent that they were made for: a graph's name may come to mean another one.

ALTER TABLE crons ADD COLUMN agent text;                        -- NULL: whoever has the name when it fires
