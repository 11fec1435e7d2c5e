"""The log itself: files, the stream of a server, events, transactions."""
