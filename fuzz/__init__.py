"""Hostile files by the thousand: `make fuzz`."""
