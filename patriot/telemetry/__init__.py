"""Correlation, logs and metrics."""
