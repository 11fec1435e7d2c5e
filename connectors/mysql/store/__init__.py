"""MySQL as a store of results: the sink and the lookup."""
