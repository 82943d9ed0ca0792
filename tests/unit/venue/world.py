"""A small exchange for the tests: BTC/USDT spot and perpetual, three funded customers, a clock that tests move."""

from decimal import Decimal
from typing import Any

from feeds.venue.accounts import Account
from feeds.venue.clearing import total_money
from feeds.venue.events import EVERY
from feeds.venue.exchange import Exchange
from feeds.venue.orders import NewOrder, Order, OrderType, Side
from patriot.domain.instrument import Instrument
from patriot.protocols.market import MarkPrice

SPOT = Instrument(
    id="BINANCE:BTC/USDT",
    native_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    settle="USDT",
    kind="spot",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.00001"),
    price_decimals=2,
    quantity_decimals=5,
    minimum_quantity=Decimal("0.00001"),
    maximum_quantity=Decimal(9000),
    minimum_notional=Decimal(5),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
)
PERPETUAL = Instrument(
    id="BINANCE:BTC/USDT:USDT",
    native_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    settle="USDT",
    kind="linear",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
    price_decimals=1,
    quantity_decimals=3,
    minimum_quantity=Decimal("0.001"),
    maximum_quantity=Decimal(1000),
    minimum_notional=Decimal(5),
    maker_fee=Decimal("0.0002"),
    taker_fee=Decimal("0.0005"),
    maximum_leverage=125,
    maintenance_margin_rate=Decimal("0.004"),
)
START_MS = 1_700_000_000_000


class World:
    """`exchange`, the accounts `alice`, `bob`, `carol`, and everything heard on every stream in `heard`."""

    def __init__(self, **options: Any) -> None:
        self.now_ms = START_MS
        self.exchange = Exchange("BINANCE", [SPOT, PERPETUAL], lambda: self.now_ms, **options)
        self.heard: list[Any] = []
        self.exchange.on_account(EVERY, self.heard.append)
        self.exchange.on_market(EVERY, self.heard.append)
        self.alice, self.bob, self.carol = (self.customer(name) for name in ("alice", "bob", "carol"))
        self.deposited = self.money()

    def customer(self, name: str) -> Account:
        account = self.exchange.open_account(name, api_key=f"key-{name}", secret=f"secret-{name}")
        self.exchange.deposit(account, "spot", "USDT", Decimal(100_000))
        self.exchange.deposit(account, "spot", "BTC", Decimal(2))
        self.exchange.deposit(account, "linear", "USDT", Decimal(10_000))
        return account

    def order(
        self,
        account: Account,
        side: str,
        quantity: str,
        price: str | None = None,
        instrument: Instrument = SPOT,
        **more: Any,
    ) -> Order:
        """Limit where a price is given, market where not; `more` are fields of NewOrder."""
        more.setdefault("type", OrderType.MARKET if price is None else OrderType.LIMIT)
        request = NewOrder(
            instrument_id=instrument.id,
            side=Side(side),
            quantity=Decimal(quantity),
            price=None if price is None else Decimal(price),
            **more,
        )
        return self.exchange.create(account, request)

    def total(self, account: Account, asset: str, wallet: str = "spot") -> Decimal:
        return self.exchange.balance(account, wallet, asset).total

    def free(self, account: Account, asset: str, wallet: str = "spot") -> Decimal:
        return self.exchange.balance(account, wallet, asset).free

    def mark(self, price: str, *, funding_rate: str = "0", next_funding_ms: int = 0) -> None:
        units = PERPETUAL.price_units(Decimal(price))
        self.exchange.set_mark(MarkPrice(PERPETUAL.id, units, units, funding_rate, next_funding_ms, self.now_ms))

    def money(self) -> dict[str, int]:
        return total_money(self.exchange._clearing)

    def heard_of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]
