"""The binlog: files, a server's stream, events, transactions."""
