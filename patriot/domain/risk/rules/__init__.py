"""One file per rule; a new file is found by itself. Each has one `@rule` function called `check`."""
