"""Runs tasks: claims them, sends their steps to agents, survives the death of its own process."""
