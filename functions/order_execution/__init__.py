"""Send orders to venues and report what the venues prove."""
