"""The filters, one module for each family; `runner.expr.registry` says which is where."""
