"""What a cluster is told about the platform, written from what discovery finds."""
