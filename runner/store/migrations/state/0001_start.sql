-- What must survive a power cut. Moments are UTC text of one width, so that they sort as text.
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Every text a flow ever had. Which flows exist now is told by the folder, not by this table.
CREATE TABLE flows (
  namespace TEXT NOT NULL,
  id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  source TEXT NOT NULL,
  created TEXT NOT NULL,
  PRIMARY KEY (namespace, id, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE executions (
  number INTEGER PRIMARY KEY,           -- order of creation
  id TEXT NOT NULL UNIQUE,
  namespace TEXT NOT NULL,
  flow_id TEXT NOT NULL,
  flow_revision INTEGER NOT NULL,
  state TEXT NOT NULL,
  ended INTEGER NOT NULL,               -- 1: the state is terminal
  start_date TEXT NOT NULL,
  end_date TEXT,                        -- also of a paused one
  trigger_id TEXT,
  trigger_execution_id TEXT,
  labels TEXT NOT NULL,                 -- JSON list of "key:value"
  body TEXT NOT NULL                    -- the whole execution
) STRICT;
CREATE INDEX executions_by_start ON executions (start_date);
CREATE INDEX executions_by_flow ON executions (namespace, flow_id, start_date);
CREATE INDEX executions_by_state ON executions (state, start_date);
CREATE INDEX executions_open ON executions (number) WHERE ended = 0;
CREATE INDEX executions_by_cause ON executions (trigger_execution_id)
  WHERE trigger_execution_id IS NOT NULL;

CREATE TABLE task_runs (
  number INTEGER PRIMARY KEY,           -- order of creation
  id TEXT NOT NULL UNIQUE,
  execution_id TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX task_runs_by_execution ON task_runs (execution_id, number);
