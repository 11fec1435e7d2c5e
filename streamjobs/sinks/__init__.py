"""The contract of a sink, and what all sinks share."""
