"""Executions: starting, driving, retrying, killing and recovering them."""
