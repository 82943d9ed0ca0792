"""Tokens, roles, the credential vault, service-to-service trust."""
