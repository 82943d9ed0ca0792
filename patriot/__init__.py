"""patriot: the ground that every function and feed stands on."""

__version__ = "0.1.0"
