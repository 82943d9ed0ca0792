"""The only truth: event store, outbox, inbox and read models on PostgreSQL, with an in-memory twin."""
