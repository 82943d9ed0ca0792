"""What the venue speaks on sockets. Each protocol is one mount on one server."""
