"""Errors of the domain. Every one is the caller's to answer; none is swallowed.

DomainError
├── InvalidValue            a number or text that the domain refuses; names the field and the rule
├── InvalidTransition       an event that the order's state does not allow
└── UnbalancedPosting       ledger entries that do not sum to zero per asset
"""


class DomainError(Exception):
    """Root of the domain's errors."""


class InvalidValue(DomainError):
    """A value that the domain refuses. `field` names it, `rule` says what would be right."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class InvalidTransition(DomainError):
    """An event that the current state does not allow."""


class UnbalancedPosting(DomainError):
    """Ledger entries whose amounts do not sum to zero per asset."""
