"""Execution algorithms: one file each, found by themselves."""
