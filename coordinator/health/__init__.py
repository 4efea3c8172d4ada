"""The one owner of every agent's health: the state machine, its evidence and its probes."""
