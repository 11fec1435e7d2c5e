"""From a SQL file to the printable plan of a job, without a network."""
