"""Keep the read models of orders, trades, positions and balances."""
