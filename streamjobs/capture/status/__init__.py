"""The status of a running capture, and requests to it."""
