"""The contracts: commands, events, topics and queries, and the SQL migrations. Imports nothing of the project."""
