"""What the market is like: volatility, trend, volume, spread and depth, correlation."""
