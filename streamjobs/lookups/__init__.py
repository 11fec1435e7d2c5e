"""The contract of a lookup, and what all lookups share."""
