"""The configuration of a capture: the file, what it sets, where rows are routed."""
