"""Strategy instances with their state."""
