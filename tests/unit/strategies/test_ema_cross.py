"""The demonstration strategy and the runner that feeds it."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from feeds.strategies.app import strategies
from feeds.strategies.catalog.ema_cross import EmaCross
from feeds.strategies.runner import Runner
from patriot.domain.listing import instruments
from patriot.protocols.market import Quote, Trade
from patriot.strategy import Intent, Strategy, StrategyBar

SPOT, _, PERPETUAL, _ = instruments("BINANCE")


def bar(price: str, number: int = 0) -> StrategyBar:
    value = Decimal(price)
    return StrategyBar(PERPETUAL.id, 1, number * 1000, value, value, value, value, Decimal(1))


def cross(instrument=PERPETUAL, **parameters) -> EmaCross:
    given = {"fast": 1, "slow": 2, "bar_seconds": 1, **parameters}
    return EmaCross(instrument, EmaCross.Parameters.model_validate(given))


def shown(strategy: EmaCross, *prices: str) -> list[Intent]:
    intents: list[Intent] = []
    for number, price in enumerate(prices):
        intents = list(strategy.on_bar(bar(price, number)))
    return intents


def test_catalogue_finds_the_strategy():
    assert strategies()["ema_cross"] is EmaCross


def test_warm_up_gives_no_orders():
    assert shown(cross(slow=5), "100", "101", "102") == []


@pytest.mark.requirement("T3")
def test_rising_prices_go_long():
    (intent,) = shown(cross(notional="6000"), "60000", "60100")
    assert (intent.side, intent.quantity) == ("buy", Decimal("0.099"))


def test_falling_prices_go_short_on_a_perpetual():
    (intent,) = shown(cross(notional="6000"), "60000", "59000")
    assert intent.side == "sell"


def test_falling_prices_stay_flat_on_spot():
    assert shown(cross(SPOT), "60000", "59000") == []


def test_long_position_is_kept_while_the_trend_stays():
    strategy = cross(notional="6000")
    shown(strategy, "60000", "60100")
    strategy.on_position(Decimal("0.099"))
    assert list(strategy.on_bar(bar("60200", 3))) == []


def test_turn_flips_the_position():
    strategy = cross(notional="6000")
    shown(strategy, "60000", "60100")
    strategy.on_position(Decimal("0.099"))
    (intent,) = list(strategy.on_bar(bar("50000", 3)))
    assert (intent.side, intent.quantity) == ("sell", Decimal("0.219"))


def test_dust_that_is_no_lot_is_left():
    strategy = cross(SPOT, notional="6000")
    strategy.on_position(Decimal("0.000009"))
    assert shown(strategy, "60000", "59000") == []


def test_size_is_never_below_the_minimum():
    assert cross(notional="0.01").size(Decimal(60000)) == PERPETUAL.minimum_quantity


class Recorder(Strategy):
    """Buys at every bar."""

    def on_bar(self, bar):
        return [Intent(bar.instrument, "buy", Decimal(1))]


def trade(price: int, second: int) -> Trade:
    return Trade(PERPETUAL.id, price, 1, False, str(second), second * 1000)


def runner(order_id: UUID | None = None) -> tuple[Runner, list[Intent]]:
    placed: list[Intent] = []

    async def place(intent: Intent) -> UUID | None:
        placed.append(intent)
        return order_id

    parameters = Strategy.Parameters(bar_seconds=1)
    return Runner(Recorder(PERPETUAL, parameters), place), placed


async def test_runner_places_after_a_closed_bar():
    run, placed = runner()
    assert not run.on_market(trade(6_000_000, 0))
    assert run.on_market(trade(6_000_000, 1))
    await run.work()
    assert len(placed) == 1


async def test_runner_ignores_what_is_no_trade():
    run, _ = runner()
    assert not run.on_market(Quote(PERPETUAL.id, 1, 1, 2, 1, 0, 0))


async def test_runner_trades_on_the_newest_bar_only():
    run, placed = runner()
    for second in range(4):
        run.on_market(trade(6_000_000, second))
    await run.work()
    assert len(placed) == 1


async def test_runner_waits_for_its_order():
    order_id = uuid4()
    run, placed = runner(order_id)
    for second in range(2):
        run.on_market(trade(6_000_000, second))
    await run.work()
    run.on_market(trade(6_000_000, 2))
    await run.work()
    assert len(placed) == 1
    run.on_order_end(order_id)
    run.on_market(trade(6_000_000, 3))
    await run.work()
    assert len(placed) == 2


async def test_runner_does_not_wait_for_an_order_whose_end_came_before_its_answer():
    order_id = uuid4()
    run, placed = runner(order_id)
    run.on_order_end(order_id)
    for second in range(3):
        run.on_market(trade(6_000_000, second))
        await run.work()
    assert len(placed) == 2
    assert not run.waits_for


def test_runner_leaves_a_position_that_is_older_than_the_newest():
    run, _ = runner()
    run.on_position(Decimal(2), PERPETUAL.id, 2)
    run.on_position(Decimal(1), PERPETUAL.id, 1)
    assert run.strategy.position == 2


async def test_runner_goes_on_after_a_refusal():
    run, placed = runner(None)
    for second in range(3):
        run.on_market(trade(6_000_000, second))
        await run.work()
    assert len(placed) == 2


async def test_runner_never_works_twice_at_once():
    run, placed = runner()
    run.busy = True
    await run.work()
    assert placed == []


def test_base_strategy_must_be_filled_in():
    with pytest.raises(NotImplementedError):
        Strategy(PERPETUAL, Strategy.Parameters()).on_bar(bar("1"))


def test_bar_in_decimals():
    from patriot.protocols.market import Bar

    shown_bar = StrategyBar.of(Bar(PERPETUAL.id, 60, 0, 100, 200, 50, 150, 5, 3, closed=True), PERPETUAL)
    assert (shown_bar.open, shown_bar.high, shown_bar.volume) == (Decimal(1), Decimal(2), Decimal("0.005"))
    assert replace(shown_bar) == shown_bar
