"""Market data: shared connections to the exchanges, books, bars, conflated prices, instrument definitions."""
