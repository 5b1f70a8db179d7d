"""Kestra's HTTP API."""
