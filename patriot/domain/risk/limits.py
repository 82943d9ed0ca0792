"""Limits, and what the levels above an order amount to together. Rule: of each figure the most restrictive binds.

A default holds where no level says anything.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import chain
from math import ceil
from typing import Any

from schemas.risk_commands import SetLimits, Threshold, VerifiedOnly

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Limits:
    """What binds one order; None = unlimited. See `SetLimits` for units.

    `sessions` has one entry per level that names any: trading is open while each of them has one open.
    """

    maximum_order_notional: Decimal | None = Decimal(1_000_000)
    maximum_position_notional: Decimal | None = Decimal(5_000_000)
    maximum_open_orders: int | None = 200
    maximum_orders_per_second: int | None = 100
    price_collar: Decimal | None = Decimal("0.05")
    price_age_seconds_max: int = 60
    maximum_cancels_per_second: int | None = None
    maximum_leverage: Decimal | None = None
    maximum_margin_usage: Decimal | None = None
    minimum_liquidation_distance: Decimal | None = None
    maximum_daily_loss: Decimal | None = None
    maximum_drawdown: Decimal | None = None
    maximum_concentration: Decimal | None = None
    duplicate_seconds: int | None = None
    prevent_self_trade: bool = False
    reduce_only: bool = False
    verified_only: VerifiedOnly | None = None
    blocked_instruments: frozenset[str] = frozenset()
    sessions: tuple[tuple[str, ...], ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    version: int = 0

    def shared_by(self, processes: int) -> "Limits":
        """What one of several processes may let through, where what happened lately is counted by each for itself."""
        if processes == 1:
            return self
        orders, cancels = self.maximum_orders_per_second, self.maximum_cancels_per_second
        return replace(
            self,
            maximum_orders_per_second=orders and ceil(orders / processes),
            maximum_cancels_per_second=cancels and ceil(cancels / processes),
        )

    @property
    def need_position(self) -> bool:
        """Whether a rule asks if the order would make the position larger."""
        asked = self.reduce_only or self.blocked_instruments or self.sessions or self.verified_only
        return bool(asked) or self.need_standing

    @property
    def need_standing(self) -> bool:
        """Whether a rule asks how the whole account stands."""
        return (
            self.maximum_leverage
            or self.maximum_margin_usage
            or self.minimum_liquidation_distance
            or self.maximum_daily_loss
            or self.maximum_drawdown
            or self.maximum_concentration
        ) is not None


DEFAULTS = Limits()


def merged(levels: Iterable[SetLimits], version: int = 0) -> Limits:
    """What all `levels` amount to."""
    said: dict[str, list[Any]] = {}
    for level in levels:
        for name in level.model_fields_set:
            value = getattr(level, name)
            if value is not None:
                said.setdefault(name, []).append(value)
    return Limits(version=version, **{name: _MERGE.get(name, min)(values) for name, values in said.items()})


def _union(values: Iterable[Iterable[Any]]) -> frozenset[Any]:
    return frozenset(chain.from_iterable(values))


def _all(values: Iterable[Iterable[Any]]) -> tuple[Any, ...]:
    return tuple(chain.from_iterable(values))


_MERGE: dict[str, Callable[[list[Any]], Any]] = {
    "prevent_self_trade": any,
    "reduce_only": any,
    "minimum_liquidation_distance": max,
    "blocked_instruments": _union,
    "sessions": tuple,
    "verified_only": min,  # "all" comes before "live", and is the stricter
    "thresholds": _all,
}


def is_open(session: str, now: datetime) -> bool:
    """Whether "mon-fri 08:00-22:00" holds now. One that ends before it begins goes over midnight."""
    days, _, hours = session.partition(" ")
    opens, _, closes = hours.partition("-")
    minute = now.strftime("%H:%M")
    if opens < closes:
        return _on(days, now.weekday()) and opens <= minute < closes
    return (_on(days, now.weekday()) and minute >= opens) or (_on(days, (now.weekday() - 1) % 7) and minute < closes)


def _on(days: str, weekday: int) -> bool:
    first, _, last = days.partition("-")
    begin, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
    return begin <= weekday <= end if begin <= end else weekday >= begin or weekday <= end
