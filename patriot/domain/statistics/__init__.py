"""Performance statistics: pure functions of what an account's equity did and of its round trips."""
