"""Sans-IO codecs: bytes in, normalised messages out, bytes to send."""
