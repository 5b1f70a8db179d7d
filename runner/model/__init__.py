"""Pure data: what an author wrote (flows, tasks) and what happened (executions, task runs)."""
