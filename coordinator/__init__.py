"""The coordinator: a request becomes a plan, the plan is run, the result is remembered."""
