"""Always-on parts that hold what cannot be stateless. No feed imports another."""
