"""The `patriot` command."""
