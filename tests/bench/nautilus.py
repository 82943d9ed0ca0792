"""The peer of `bench_replay`: NautilusTrader's backtest engine with its own EMA cross, on the ticks of a file.

    python nautilus.py TICKS          JSON, see `bench_replay.dump`

Rule: loading and building its data is not timed, the engine's run is. Runs in an interpreter of its own, which has
nautilus_trader and nothing of ours.
"""

import json
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.examples.strategies.ema_cross import EMACross, EMACrossConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import BarType, BookOrder, OrderBookDelta, OrderBookDeltas, QuoteTick, TradeTick
from nautilus_trader.model.enums import (
    AccountType,
    AggressorSide,
    BookAction,
    BookType,
    OmsType,
    OrderSide,
    RecordFlag,
)
from nautilus_trader.model.identifiers import TradeId, TraderId
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider


class Builder:
    """Plain tuples to the engine's data types."""

    def __init__(self, instrument: Any) -> None:
        self._instrument = instrument
        self._price, self._size = instrument.price_precision, instrument.size_precision

    def build(self, kind: str, *values: Any) -> Any:
        make: Callable[..., Any] = getattr(self, kind)
        return make(*values)

    def trade(self, time_ns: int, price: str, size: str, sold: bool, identifier: str) -> TradeTick:  # noqa: FBT001
        side = AggressorSide.SELLER if sold else AggressorSide.BUYER
        return TradeTick(
            self._instrument.id, self.price(price), self.size(size), side, TradeId(identifier), time_ns, time_ns
        )

    def quote(self, time_ns: int, bid: str, bid_size: str, ask: str, ask_size: str) -> QuoteTick:
        sizes = self.size(bid_size), self.size(ask_size)
        return QuoteTick(self._instrument.id, self.price(bid), self.price(ask), *sizes, time_ns, time_ns)

    def book(self, time_ns: int, clear: bool, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> Any:  # noqa: FBT001
        found = [OrderBookDelta.clear(self._instrument.id, 0, time_ns, time_ns)] if clear else []
        sides = ((OrderSide.BUY, bids), (OrderSide.SELL, asks))
        levels = [(side, price, size) for side, pairs in sides for price, size in pairs]
        for index, (side, price, size) in enumerate(levels, 1):
            flags = RecordFlag.F_LAST if index == len(levels) else 0
            order = BookOrder(side, self.price(price), self.size(size), 0)
            action = BookAction.UPDATE if Decimal(size) else BookAction.DELETE
            found.append(OrderBookDelta(self._instrument.id, action, order, flags, 0, time_ns, time_ns))
        return OrderBookDeltas(self._instrument.id, found) if found else None

    def price(self, text: str) -> Price:
        return Price(float(text), self._price)

    def size(self, text: str) -> Quantity:
        return Quantity(float(text), self._size)


def main(path: str) -> None:
    plan = json.loads(Path(path).read_bytes())
    provider = TestInstrumentProvider
    instrument = provider.btcusdt_perp_binance() if plan["linear"] else provider.btcusdt_binance()
    builder = Builder(instrument)
    data = [tick for message in plan["messages"] if (tick := builder.build(*message)) is not None]
    engine = BacktestEngine(
        BacktestEngineConfig(trader_id=TraderId("BENCH-001"), logging=LoggingConfig(bypass_logging=True))
    )
    engine.add_venue(
        venue=instrument.id.venue,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=None,
        starting_balances=[Money(1_000_000_000, USDT)],
        book_type=BookType.L2_MBP if plan["depth"] else BookType.L1_MBP,
        bar_execution=False,
        trade_execution=True,
    )
    engine.add_instrument(instrument)
    for kind in (TradeTick, QuoteTick, OrderBookDeltas):
        if chosen := [one for one in data if isinstance(one, kind)]:
            engine.add_data(chosen)
    bars = BarType.from_str(f"{instrument.id}-1-SECOND-LAST-INTERNAL")
    config = EMACrossConfig(
        instrument_id=instrument.id,
        bar_type=bars,
        trade_size=Decimal("0.02"),
        fast_ema_period=plan["fast"],
        slow_ema_period=plan["slow"],
        subscribe_quote_ticks=False,
        subscribe_trade_ticks=True,
        request_bars=False,
    )
    for _ in sys.stdin:
        engine.reset()
        engine.clear_strategies()
        engine.add_strategy(EMACross(config))
        start = time.process_time()
        engine.run()
        seconds = time.process_time() - start
        orders = engine.cache.orders_total_count()
        print(json.dumps({"seconds": seconds, "messages": len(data), "orders": orders}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
