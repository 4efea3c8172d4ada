"""The agents of the main job. Each is its own process, imports a2a only, and never another agent."""
