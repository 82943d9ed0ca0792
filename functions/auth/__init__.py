"""Log in: a password for a token."""
