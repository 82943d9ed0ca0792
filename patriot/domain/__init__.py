"""Pure shared rules of trading: no clock, no I/O, no randomness."""
