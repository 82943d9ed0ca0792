"""Deploy, assign, start, pause and stop strategies."""
