"""Which agents there are, what they can do, and which of them a step goes to."""
