-- Where triggers stand: next and last dates, locks, backfills.
CREATE TABLE trigger_states (
  namespace TEXT NOT NULL,
  flow_id TEXT NOT NULL,
  trigger_id TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (namespace, flow_id, trigger_id)
) STRICT, WITHOUT ROWID;

-- Which conditions of a Flow trigger were met so far, by the id of its preconditions.
CREATE TABLE trigger_windows (
  namespace TEXT NOT NULL,
  flow_id TEXT NOT NULL,
  id TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (namespace, flow_id, id)
) STRICT, WITHOUT ROWID;
