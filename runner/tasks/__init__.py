"""Task types: what each does when it runs."""
