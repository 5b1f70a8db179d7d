"""Dates and times as Java's `java.time` has them: zones, patterns, names in many languages."""
