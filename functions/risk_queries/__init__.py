"""Read how limits stand and how accounts stand under them."""
