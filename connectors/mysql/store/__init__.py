"""MySQL as a store: the sink and the lookup."""
