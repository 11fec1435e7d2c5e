"""Python functions that SQL may name. Importing this package imports nothing else."""
