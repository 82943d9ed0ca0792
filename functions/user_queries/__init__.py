"""Read users and their accounts."""
