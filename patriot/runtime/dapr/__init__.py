"""The Dapr runtime: the ports over a sidecar, each part behind one, and all of them on one machine."""
