-- Whom an author's own authentication found when a cron was made: its runs are that user's.

ALTER TABLE crons ADD COLUMN made_by jsonb;
