"""Read orders, trades, positions, balances, prices and events."""
