"""Stops that the platform holds: in memory, by symbol, fed by ticks."""
