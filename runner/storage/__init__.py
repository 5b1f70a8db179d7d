"""Files of executions and namespaces (`kestra:///` URIs) and the key-value store, on local disk."""
