"""Request in plain words -> plan. Pure code: no await, clock, database or I/O."""
