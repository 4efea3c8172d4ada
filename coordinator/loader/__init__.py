"""Serves the agents of the files in AGENTS_DIR, each in a process of its own (docs/loader.md)."""
