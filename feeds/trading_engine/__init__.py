"""Parent orders of execution algorithms, and market analysis."""
