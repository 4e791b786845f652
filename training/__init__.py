"""Trains the descriptor network that Baken ships: see README.md."""
