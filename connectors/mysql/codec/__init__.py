"""Bytes of the protocol and of stored values, read exactly as the server reads them."""
