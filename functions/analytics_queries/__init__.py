"""Performance: statistics, curves, round trips."""
