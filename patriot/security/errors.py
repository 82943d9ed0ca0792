"""Errors of security. What the caller of the platform sees never says which check failed; `reason` is for logs only.

SecurityError
├── TokenRefused                answered with 401, always with the same words
│   ├── TokenMalformed          not a token, or a claim that is missing or has the wrong form
│   ├── TokenForged             algorithm, key or signature are not ours
│   ├── TokenForeign            made for another audience or by another issuer
│   ├── TokenExpired            its time is over, has not come, or is longer than allowed
│   └── TokenRevoked            withdrawn before its time
├── PermissionDenied            answered with 403
├── VaultError
│   ├── VaultKeyMissing         the key of this version is not (or no longer) in the ring
│   └── EnvelopeRefused         tampered with, moved to another row, or no envelope at all
└── KeyRingError                the key file is broken, exposed to others, or lacks a key that is needed
"""


class SecurityError(Exception):
    """Root of the errors of security."""


class TokenRefused(SecurityError):
    """The token does not prove who sent it. `str()` is the same for all; `reason` names the failed check."""

    kind = "refused"  # a metric label: one word per class

    def __init__(self, reason: str) -> None:
        super().__init__("the token is not valid")
        self.reason = reason


class TokenMalformed(TokenRefused):
    kind = "malformed"


class TokenForged(TokenRefused):
    kind = "forged"


class TokenForeign(TokenRefused):
    kind = "foreign"


class TokenExpired(TokenRefused):
    kind = "expired"


class TokenRevoked(TokenRefused):
    kind = "revoked"


class PermissionDenied(SecurityError):
    """The user is known and may not do this. `permission` is what is missing."""

    def __init__(self, permission: str) -> None:
        super().__init__(f"this needs the permission {permission}")
        self.permission = permission


class VaultError(SecurityError):
    """A credential could not be read."""


class VaultKeyMissing(VaultError):
    """An operator's fault: the key was retired before everything was rotated to the next one."""


class EnvelopeRefused(VaultError):
    """The envelope does not belong to this place, or was changed."""


class KeyRingError(SecurityError):
    """The keys cannot be used. The platform refuses to start."""
