"""Pre-trade risk: what an order is judged on, the rules, the verdict. One rule, one file in `rules`."""
