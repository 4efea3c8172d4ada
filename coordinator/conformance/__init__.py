"""Whether an agent does what its card says: tried against the live agent, and what that means for routing."""
