"""Decide which venue adapter executes an order."""
