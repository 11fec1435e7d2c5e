"""Publishing of row changes to the broker: topics, partitions, messages, dead letters."""
