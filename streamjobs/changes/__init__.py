"""Row changes and their parts: values, positions, batches, dead letters."""
