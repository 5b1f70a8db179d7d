"""The command line `eyas`: one file a verb."""
