"""Register users and change their profiles."""
