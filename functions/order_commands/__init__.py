"""Create, modify and cancel orders."""
