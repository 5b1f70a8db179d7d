-- Log lines, in batches as they came: all lines of a row share everything but their text.
CREATE TABLE batches (
  number INTEGER PRIMARY KEY,           -- of its first line
  lines INTEGER NOT NULL,
  execution_id TEXT NOT NULL,
  namespace TEXT NOT NULL,
  flow_id TEXT NOT NULL,
  level INTEGER NOT NULL,               -- 0 TRACE to 4 ERROR
  date TEXT NOT NULL,
  task_id TEXT,
  task_run_id TEXT,
  attempt INTEGER,
  trigger_id TEXT,
  messages TEXT NOT NULL                -- JSON list of text
) STRICT;
CREATE INDEX batches_by_execution ON batches (execution_id, number);
CREATE INDEX batches_by_flow ON batches (namespace, flow_id, number);
CREATE INDEX batches_by_date ON batches (date);

CREATE TABLE metrics (
  number INTEGER PRIMARY KEY,
  execution_id TEXT NOT NULL,
  namespace TEXT NOT NULL,
  flow_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  task_run_id TEXT NOT NULL,
  name TEXT,
  type TEXT NOT NULL,
  value REAL NOT NULL,
  date TEXT NOT NULL,
  tags TEXT                             -- JSON object of text
) STRICT;
CREATE INDEX metrics_by_execution ON metrics (execution_id, number);
CREATE INDEX metrics_by_flow ON metrics (namespace, flow_id, name, date);
