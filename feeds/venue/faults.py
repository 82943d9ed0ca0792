"""Faults on demand. Rule: a plan only decides; whoever holds the socket (or plays it) carries the decision out.

A plan is a list of rules. Each call of `FaultPlan.decide(operation, account)` walks them in order; the first that
matches and is due answers. Counting makes it deterministic: the same calls meet the same faults.

    plan = FaultPlan([Rule(Fault.TIMEOUT_AFTER, operation="create", skip=2)])   # the third is unanswered
    fault = plan.decide("create", "alice")
    if fault: ...

Operations are create, amend, cancel, leverage, query, connect, clock, and stream:<topic> for each message of a stream.
GAP and DUPLICATE strike streams only, SKEW the clock only, the others everything but these two (DISCONNECT also
streams).

| fault | the command runs | what the caller sees |
| --- | --- | --- |
| TIMEOUT_BEFORE | no | silence |
| TIMEOUT_AFTER | yes | silence |
| ERROR_BEFORE | no | `status` (5xx) |
| ERROR_AFTER | yes | `status` (5xx) |
| RATE_LIMITED | no | 429 with `retry_after_s` |
| BANNED | no | 418 with `retry_after_s` |
| DISCONNECT | no | the connection closes |
| DISCONNECT_AFTER | yes | the connection closes before the answer |
| GAP | | one message of a stream is left out |
| DUPLICATE | | one message of a stream comes twice |
| SKEW | | the venue's clock differs by `skew_ms` |
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    RATE_LIMITED = "rate_limited"
    BANNED = "banned"
    DISCONNECT = "disconnect"
    DISCONNECT_AFTER = "disconnect_after"
    GAP = "gap"
    DUPLICATE = "duplicate"
    SKEW = "skew"


ANY = "*"

_RUNS = frozenset({Fault.TIMEOUT_AFTER, Fault.ERROR_AFTER, Fault.DISCONNECT_AFTER})
_STREAMS = frozenset({Fault.GAP, Fault.DUPLICATE})
_SILENT = frozenset({Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER})
_CLOSES = frozenset({Fault.DISCONNECT, Fault.DISCONNECT_AFTER})
_STATUS = {Fault.RATE_LIMITED: 429, Fault.BANNED: 418}


@dataclass(frozen=True, slots=True)
class Rule:
    """When which fault strikes: of the matching calls the first `skip` pass, then `count` are hit (0: all that follow),
    of these every `every`-th only. `operation` and `account` may be `ANY`; an operation ending in `*` is a prefix.
    """

    fault: Fault
    operation: str = ANY
    account: str = ANY
    skip: int = 0
    count: int = 1
    every: int = 1
    status: int = 503
    retry_after_s: int = 1
    skew_ms: int = 0

    def matches(self, operation: str, account: str) -> bool:
        fits = operation == self.operation
        if self.operation.endswith(ANY):
            fits = operation.startswith(self.operation[:-1])
        return fits and self.account in {ANY, account} and _strikes(self.fault, operation)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about one call."""

    rule: Rule

    @property
    def fault(self) -> Fault:
        return self.rule.fault

    @property
    def runs(self) -> bool:
        """Whether the command takes effect at the venue."""
        return self.fault in _RUNS

    @property
    def is_silent(self) -> bool:
        """Whether no answer ever comes."""
        return self.fault in _SILENT

    @property
    def closes(self) -> bool:
        """Whether the connection is dropped instead of an answer."""
        return self.fault in _CLOSES

    @property
    def status(self) -> int:
        """HTTP status of the answer, 0 where the fault has none."""
        if self.fault in {Fault.ERROR_BEFORE, Fault.ERROR_AFTER}:
            return self.rule.status
        return _STATUS.get(self.fault, 0)

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.rule.retry_after_s)} if self.fault in _STATUS else {}


class FaultPlan:
    """Rules and how often each has matched."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.struck: list[tuple[str, str, Fault]] = []
        """Every fault that struck: operation, account, fault."""
        self._rules: list[Rule] = []
        self._matched: list[int] = []
        for rule in rules:
            self.add(rule)

    def add(self, rule: Rule) -> None:
        """Program one more fault; it counts from now."""
        assert rule.every > 0, "every counts from 1"
        self._rules.append(rule)
        self._matched.append(0)

    def clear(self) -> None:
        """Forget all rules; what struck stays known."""
        self._rules.clear()
        self._matched.clear()

    def decide(self, operation: str, account: str = "") -> Decision | None:
        """Count one call and return the fault that strikes it, if any."""
        decided: Decision | None = None
        for index, rule in enumerate(self._rules):
            if rule.matches(operation, account):
                self._matched[index] += 1
                if decided is None and _is_due(rule, self._matched[index]):
                    decided = Decision(rule)
        if decided is not None:
            self.struck.append((operation, account, decided.fault))
        return decided

    def skew_ms(self, account: str = "") -> int:
        """Return by how much the venue's clock is off for this call; counts as a call of the operation `clock`."""
        decision = self.decide("clock", account)
        return 0 if decision is None else decision.rule.skew_ms


def _strikes(fault: Fault, operation: str) -> bool:
    is_stream, is_clock = operation.startswith("stream:"), operation == "clock"
    if fault in _STREAMS:
        return is_stream
    if fault is Fault.SKEW:
        return is_clock
    return not is_clock and (not is_stream or fault is Fault.DISCONNECT)


def _is_due(rule: Rule, matched: int) -> bool:
    hit = matched - rule.skip - 1
    if hit < 0 or hit % rule.every:
        return False
    return not rule.count or hit // rule.every < rule.count
