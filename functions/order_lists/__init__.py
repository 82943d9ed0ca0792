"""What the orders of a list do to each other."""
