"""Reads bytes of the protocol and of stored values exactly as the server does."""
