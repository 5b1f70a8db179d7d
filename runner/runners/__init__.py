"""Ways of running a command: as a local process, in a Docker container."""
