"""What an order is judged on, and the verdict. Rule: everything comes in; a rule looks nothing up."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from uuid import UUID

from msgspec import Struct, field

from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO
from patriot.domain.order import Reservation
from patriot.domain.risk.limits import DEFAULTS, Limits
from patriot.domain.risk.standing import Standing
from schemas.commands import CreateOrder
from schemas.types import AccountMode, ComplianceStatus


class ReferencePrice(Struct, frozen=True):
    """The newest price that is known of the instrument, and when it was true."""

    bid: Decimal
    ask: Decimal
    last: Decimal
    as_of: datetime
    mark: Decimal | None = None
    stale: bool = False

    @property
    def fair(self) -> Decimal:
        """The mark price where there is one, else the middle of bid and ask."""
        return self.mark or (self.bid + self.ask) / 2


class RiskContext(Struct, frozen=True):
    """One order and what surrounds it. `modifies` names the order where it is one that is to be modified.

    `order` is the order as it will be: for a modification with its new quantity and price, and then `filled_quantity`
    is done already and `reserved` is held for it already. `open_orders` and `side_quantity` are what the account has
    used of its quotas (see quotas.py), without this order; `leverage` what the order is made with, None where none was
    chosen. `halted` names the scopes whose kill switch is on.
    `same_order_seconds` is the age of the newest order that reads the same; `best_opposite` the account's own price
    that this order would meet first. `standing` is None where no limit asks for it, or it is not known.
    """

    order: CreateOrder
    now: datetime
    instrument: Instrument | None
    price: ReferencePrice | None
    limits: Limits = DEFAULTS
    available: Mapping[str, Decimal] = field(default_factory=dict)
    position_quantity: Decimal = ZERO
    open_orders: int = 0
    side_quantity: Decimal = ZERO
    orders_last_second: int = 0
    cancels_last_second: int = 0
    same_order_seconds: float | None = None
    best_opposite: Decimal | None = None
    standing: Standing | None = None
    halted: tuple[str, ...] = ()
    leverage: int | None = None
    account_mode: AccountMode = "paper"
    compliance: ComplianceStatus = "unverified"
    user_id: UUID | None = None
    modifies: UUID | None = None
    filled_quantity: Decimal = ZERO
    reserved: Decimal = ZERO

    @property
    def known_instrument(self) -> Instrument:
        assert self.instrument is not None, "the gate instrument_known_and_trading comes first"
        return self.instrument

    @property
    def known_price(self) -> ReferencePrice:
        assert self.price is not None, "the gate stale_price comes first"
        return self.price

    @property
    def multiple(self) -> int:
        """How many times what is bound may be opened."""
        return self.leverage or 1

    @property
    def open_quantity(self) -> Decimal:
        return self.order.quantity - self.filled_quantity

    @property
    def increases(self) -> bool:
        """Whether the order could make the position larger, or turn it round. A spot sale never does."""
        if not self.known_instrument.is_derivative:
            return self.order.side == "buy"
        opposite = (self.position_quantity < 0) == (self.order.side == "buy") and self.position_quantity != 0
        return not opposite or self.open_quantity > abs(self.position_quantity)


class Approved(Struct, frozen=True):
    """The order may be made durable if `reservation` is available, the limits still have this version, and no quota
    goes above its maximum; the commit checks all three.
    """

    reservation: Reservation
    limits_version: int
    maxima: Mapping[str, Decimal] = field(default_factory=dict)


class Denied(Struct, frozen=True):
    """The first rule that the order breaks. `field` names what the client could change."""

    code: str
    reason: str
    field: str


Verdict = Approved | Denied


class Stage(IntEnum):
    """In this order. The gates say whether the question can be answered at all: if not, the order is refused."""

    GATE = 0
    ORDER = 1
    ACCOUNT = 2


Check = Callable[[RiskContext], tuple[str, str] | None]


class Rule(Struct, frozen=True):
    """`check` returns None, or the field and the reason why the order breaks the rule."""

    code: str
    stage: Stage
    text: str
    check: Check

    def __call__(self, context: RiskContext) -> Denied | None:
        broken = self.check(context)
        return Denied(self.code, reason=broken[1], field=broken[0]) if broken else None


def rule(stage: Stage) -> Callable[[Check], Rule]:
    """Make a rule of a function. The file is its code; its docstring says the rule."""

    def make(check: Check) -> Rule:
        assert check.__doc__, f"{check.__module__}: a rule says what it demands"
        return Rule(check.__module__.rpartition(".")[2], stage, check.__doc__.strip(), check)

    return make
