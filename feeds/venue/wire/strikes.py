"""Faults on the wire. Rule: the plan decides, this is the one place that acts; without a plan nothing is touched.

A protocol runs every command through `Strikes.command` and sends every message of a stream through `Strikes.send`.
`Unanswered` and `Cut` may leave `Mount.http` and `Mount.websocket`: the server keeps silent, or drops the connection.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import TypeVar

from feeds.venue.faults import Fault, FaultPlan
from feeds.venue.wire.socket import Socket

Answer = TypeVar("Answer")


class Unanswered(Exception):
    """The client waits in vain."""


class Cut(Exception):
    """The connection is dropped."""


class Strikes:
    """Carries out a plan."""

    def __init__(self, plan: FaultPlan | None = None) -> None:
        self._plan = plan

    def command(
        self,
        operation: str,
        account: str,
        run: Callable[[], Answer],
        refuse: Callable[[int, Mapping[str, str]], Answer],
    ) -> Answer:
        """Run a command, or what the plan makes of it; `refuse` gives the answer for a status and its headers.

        An answer that gets lost is lost whatever it says, so a refusal by `run` is too. Raises Unanswered and Cut.
        """
        decision = self._plan.decide(operation, account) if self._plan else None
        if decision is None:
            return run()
        if decision.runs:
            with contextlib.suppress(Exception):
                run()
        if decision.is_silent:
            raise Unanswered
        if decision.closes:
            raise Cut
        return refuse(decision.status, decision.headers)

    def send(self, socket: Socket, text: str, topic: str, account: str = "", key: str = "") -> None:
        """Send one message of a stream: once, not at all, twice, or as the last thing before the connection drops."""
        decision = self._plan.decide(f"stream:{topic}", account) if self._plan else None
        if decision is None:
            socket.send(text, key)
        elif decision.fault is Fault.DUPLICATE:
            socket.send(text)
            socket.send(text)
        elif decision.fault is not Fault.GAP:
            socket.cut()

    def connect(self, account: str = "") -> None:
        """Let a WebSocket in. Raises Cut."""
        if self._plan and self._plan.decide("connect", account):
            raise Cut

    def skew_ms(self) -> int:
        """By how much the venue's clock is off for this call."""
        return self._plan.skew_ms() if self._plan else 0
