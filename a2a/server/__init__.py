"""The server's side of A2A: one handler for every operation, and the bindings that carry it."""
