"""Link, fund and deactivate exchange accounts."""
