"""The source server of a capture: the interface, and its implementation for MySQL and MariaDB."""
