-- What an execution is for; null: it is a normal one. The others are few, and left out of searches.
ALTER TABLE executions ADD COLUMN kind TEXT;
CREATE INDEX executions_of_kind ON executions (kind) WHERE kind IS NOT NULL;
