"""The built-in exchange."""
