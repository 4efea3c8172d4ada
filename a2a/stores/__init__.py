"""Where an agent's tasks are kept: in memory, or in a database that survives the process."""
