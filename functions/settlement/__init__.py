"""Deposits, withdrawals, transfers between accounts."""
