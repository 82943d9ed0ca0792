"""Preview the risk verdict on an order."""
