"""The jq language (1.6), as the Java implementation in Kestra runs it.

Programs see their input and nothing else: no environment, no files, no further inputs.
"""
