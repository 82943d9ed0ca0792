"""A performance report as one HTML page."""
