"""What a capture needs of its source server, and MySQL and MariaDB as one."""
