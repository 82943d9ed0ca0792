"""Sweeps the outbox for what a crash left behind."""
