"""Every order type, list and algorithm from the command line, over the wire of Binance and Bybit, on a moving market.

What a venue has is native; what it lacks the platform does, and the order says so. The events of each tell its life.
"""

import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from patriot.cli.main import app
from patriot.cli.output import REFUSED
from tests.e2e.test_cli import Installation

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.timeout(420),
    pytest.mark.requirement("P8", "P9", "T3", "B3"),
]

MARKETS = ("BINANCE:BTC/USDT:USDT", "BINANCE:BTC/USDT", "BYBIT:BTC/USDT:USDT", "BYBIT:BTC/USDT")
EVENTUALLY_SECONDS = 60.0
ALGORITHMS = {
    "twap": ("seconds=4", "slices=3"),
    "vwap": ("seconds=4", "slices=3"),
    "pov": ("seconds=8", "participation=0.5", "finish=true"),
    "iceberg": ("display=0.4", "variance=0.3", "patience_seconds=2"),
    "shortfall": ("seconds=4", "slices=3", "urgency=5"),
}


class Trader:
    """The command line on one instrument. The platform is a process of its own; the commands run in this one."""

    def __init__(self, folder: Path, instrument: str, label: str) -> None:
        self._folder, self.instrument = folder, instrument
        self.is_spot = instrument.count(":") == 1
        name = f"{instrument.replace(':', ' ').replace('/', ' ')} {label}"
        linked = self.command("account", "link", instrument.partition(":")[0], "--label", name)
        self.account = str(linked["account_id"])
        for asset, amount in (("USDT", "10000000"), ("BTC", "100")):
            self.run("account", "fund", asset, amount)

    def command(self, *words: str, codes: tuple[int, ...] = (0,)) -> Any:
        result = CliRunner().invoke(app, ["--json", "--data-dir", str(self._folder / "data"), *words])
        assert result.exit_code in codes, (words, result.exit_code, result.output, result.exception)
        return orjson.loads(result.stdout)

    def run(self, *words: str, codes: tuple[int, ...] = (0,)) -> Any:
        return self.command(*words, "--account", self.account, codes=codes)

    def order(self, side: str, quantity: str, *words: str, codes: tuple[int, ...] = (0,)) -> Any:
        return self.run("order", "create", self.instrument, side, quantity, *words, "--wait", "20", codes=codes)

    def cancel(self, order: Any) -> Any:
        return self.command("order", "cancel", order["order_id"], "--wait", "20")

    def price(self, share: str = "1") -> str:
        (told,) = self.command("prices", self.instrument)["prices"]
        return str(int(Decimal(told["last"]) * Decimal(share)))

    def algorithm(self, name: str, *parameters: str) -> Any:
        """Buy 0.03 by an algorithm, not above one per cent over the price."""
        words = [word for one in parameters for word in ("--set", one)]
        limit = ("--limit-price", self.price("1.01"))
        return self.run("algo", "start", name, self.instrument, "buy", "0.03", *limit, *words)

    def status(self, order: Any) -> str:
        return str(self.command("order", "show", order["order_id"])["status"])

    def events(self, order: Any) -> list[str]:
        told = self.command("events", order["order_id"])
        return [event["type"].removeprefix("order.") for event in told]

    def until(self, order: Any, status: str) -> None:
        deadline = time.monotonic() + EVENTUALLY_SECONDS
        while self.status(order) != status:
            assert time.monotonic() < deadline, (status, self.events(order))
            time.sleep(0.3)


@pytest.fixture(scope="module")
def platform() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="patriot-orders-") as folder:
        Path(folder).chmod(0o755)
        made = Installation(Path(folder))
        made._environment |= {"PATRIOT_EXECUTION": "wire"}
        made.start()
        yield made
        made.stop()


@pytest.fixture(scope="module", params=MARKETS)
def trader(platform: Installation, request: pytest.FixtureRequest) -> Trader:
    made = Trader(platform.folder, request.param, "orders")
    bought = made.order("buy", "1")
    made.until(bought, "filled")
    return made


@pytest.fixture(scope="module", autouse=True)
def algorithms(platform: Installation, trader: Trader) -> dict[str, Any]:
    """One of each kind, on an account of its own: they work while the orders are tested."""
    alone = Trader(platform.folder, trader.instrument, "algorithms")
    return {name: alone.algorithm(name, *parameters) for name, parameters in ALGORITHMS.items()}


def test_market_and_limit(trader: Trader) -> None:
    order = trader.order("buy", "0.01")
    trader.until(order, "filled")
    assert trader.events(order)[:3] == ["created", "routed", "submit_started"]
    resting = trader.order("buy", "0.01", trader.price("0.97"))
    assert resting["status"] == "accepted"


@pytest.mark.parametrize("time_in_force", ["IOC", "FOK"])
def test_immediate_or_never(trader: Trader, time_in_force: str) -> None:
    done = trader.order("buy", "0.01", trader.price("1.01"), "--time-in-force", time_in_force)
    trader.until(done, "filled")
    none = trader.order("buy", "0.01", trader.price("0.97"), "--time-in-force", time_in_force, codes=(0, REFUSED))
    assert trader.status(none) in {"expired", "cancelled", "rejected"}


def test_post_only_rests(trader: Trader) -> None:
    assert trader.order("buy", "0.01", trader.price("0.98"), "--post-only")["status"] == "accepted"


def test_good_till_date_ends_by_itself(trader: Trader) -> None:
    seconds = 700 if trader.instrument == "BINANCE:BTC/USDT:USDT" else 4  # Binance wants ten minutes at least
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    order = trader.order("buy", "0.01", trader.price("0.97"), "--time-in-force", "GTD", "--expire-at", when)
    if seconds > 600:
        assert (order["status"], order["emulated"]) == ("accepted", [])
        return
    assert order["emulated"] == ["expiry"]
    trader.until(order, "cancelled")


@pytest.mark.parametrize(
    ("kind", "share", "limit"),
    [
        ("stop", "0.97", None),
        ("stop_limit", "0.97", "0.969"),
        ("take_profit", "1.03", None),
        ("take_profit_limit", "1.03", "1.031"),
    ],
)
def test_conditional_orders_are_native(trader: Trader, kind: str, share: str, limit: str | None) -> None:
    prices = [trader.price(limit)] if limit else []
    order = trader.order("sell", "0.01", *prices, "--type", kind, "--stop-price", trader.price(share))
    assert (order["status"], order["emulated"]) == ("accepted", [])
    assert trader.cancel(order)["status"] == "cancelled"


def test_amend_of_a_stop(trader: Trader) -> None:
    """Bybit moves a resting stop; Binance has no such request, and says so. The platform moves what it holds."""
    at_venue = trader.order("sell", "0.01", "--stop-price", trader.price("0.97"))
    exits = ("--stop-loss", trader.price("0.95"), "--take-profit", trader.price("1.04"))
    bracket = trader.run("order", "bracket", trader.instrument, "buy", "0.01", trader.price("0.96"), *exits)
    (held,) = (one for one in bracket["orders"] if one["order_type"] == "stop")
    for order, moves in ((at_venue, trader.instrument.startswith("BYBIT")), (held, True)):
        stop = trader.price("0.94")
        words = ("order", "amend", order["order_id"], "--stop-price", stop, "--wait", "20")
        told = trader.command(*words, codes=(0 if moves else REFUSED,))
        assert (told["stop_price"] == stop) == moves
        assert trader.events(order)[-1] == ("modified" if moves else "modify_rejected")


def test_reduce_only(trader: Trader) -> None:
    if trader.is_spot:
        return
    order = trader.order("sell", "0.01", "--reduce-only")
    trader.until(order, "filled")


@pytest.mark.parametrize("trail", ["0.01%", "5", "step:5:1"])
def test_trailing_stop_fires_once(trader: Trader, trail: str) -> None:
    order = trader.order("sell", "0.01", "--trail", trail)
    trader.until(order, "filled")
    if order["emulated"]:
        events = trader.events(order)
        assert events.count("triggered") == events.count("submit_started") == 1
        assert events.index("triggered") < events.index("routed")


def test_trailing_stop_is_native_at_binance_futures(platform: Installation, trader: Trader) -> None:
    order = trader.order("sell", "0.01", "--trail", "0.1%")
    if trader.instrument != "BINANCE:BTC/USDT:USDT":
        assert (order["status"], order["emulated"]) == ("pending", ["trigger"])
        assert trader.cancel(order)["status"] == "cancelled"
        return
    assert (order["status"], order["emulated"]) == ("accepted", [])
    somebody = Trader(platform.folder, trader.instrument, "somebody")
    somebody.order("sell", "16", trader.price("0.997"), "--time-in-force", "IOC")  # through the bids, far enough
    trader.until(order, "filled")
    assert trader.events(order)[:4] == ["created", "routed", "submit_started", "accepted"]
    assert "triggered" not in trader.events(order)


def test_trailing_stop_waits_for_its_activation(trader: Trader) -> None:
    order = trader.order("sell", "0.01", "--trail", "1%", "--activation-price", trader.price("1.2"))
    native = trader.instrument == "BINANCE:BTC/USDT:USDT"
    assert order["status"] == ("accepted" if native else "pending")
    assert trader.cancel(order)["status"] == "cancelled"


def test_iceberg(trader: Trader) -> None:
    order = trader.order("buy", "0.03", trader.price("1.01"), "--display", "0.01")
    trader.until(order, "filled")
    native = trader.instrument == "BINANCE:BTC/USDT"
    assert order["emulated"] == ([] if native else ["iceberg"])
    if native:
        assert trader.events(order).count("submit_started") == 1
        resting = trader.order("buy", "0.03", trader.price("0.97"), "--display", "0.01")
        assert (resting["status"], resting["display_quantity"]) == ("accepted", "0.01")
        assert trader.cancel(resting)["status"] == "cancelled"
    else:
        slices = trader.command("order", "of-list", order["list_id"])["orders"]
        assert len(slices) == 3
        for one in slices:
            trader.until(one, "filled")


def test_bracket_take_profit_and_stop(trader: Trader) -> None:
    made = trader.run(
        "order", "bracket", trader.instrument, "buy", "0.01",
        "--stop-loss", trader.price("0.97"), "--take-profit", trader.price("1.03"),
    )  # fmt: skip
    entry, stop, profit = sorted(made["orders"], key=lambda one: (one["side"] == "sell", one["order_type"] == "limit"))
    trader.until(entry, "filled")
    trader.until(profit, "accepted")
    assert "armed" in trader.events(stop)
    assert trader.cancel(profit)["status"] == "cancelled"


def test_bracket_whose_trailing_stop_fires(trader: Trader) -> None:
    made = trader.run(
        "order", "bracket", trader.instrument, "buy", "0.01", "--trail", "0.01%", "--take-profit", trader.price("1.03")
    )
    _, stop, profit = sorted(made["orders"], key=lambda one: (one["side"] == "sell", one["order_type"] == "limit"))
    trader.until(stop, "filled")
    trader.until(profit, "cancelled")
    assert trader.events(profit).count("cancelled") == 1


def test_one_cancels_other(trader: Trader) -> None:
    made = trader.run("order", "oco", trader.instrument, "buy", "0.01", trader.price("1.01"), trader.price("1.03"))
    by_type = {one["order_type"]: one for one in made["orders"]}
    trader.until(by_type["limit"], "filled")
    trader.until(by_type["stop"], "cancelled")


def test_one_triggers_other(trader: Trader) -> None:
    prices = (trader.price("1.01"), "sell", trader.price("1.03"))
    made = trader.run("order", "oto", trader.instrument, "buy", "0.01", *prices)
    buy, sell = sorted(made["orders"], key=lambda one: one["side"])
    trader.until(buy, "filled")
    trader.until(sell, "accepted")


def test_amend(trader: Trader) -> None:
    order = trader.order("buy", "0.02", trader.price("0.97"))
    smaller = trader.command("order", "amend", order["order_id"], "--quantity", "0.01", "--wait", "20")
    assert smaller["quantity"] == "0.01"
    price = trader.price("0.96")
    words = ("order", "amend", order["order_id"], "--price", price, "--wait", "20")
    if trader.instrument == "BINANCE:BTC/USDT":  # there an order can only shrink
        trader.command(*words, codes=(REFUSED,))
        assert trader.events(order)[-1] == "modify_rejected"
    else:
        assert trader.command(*words)["price"] == price
        assert trader.events(order)[-1] == "modified"


@pytest.mark.requirement("P10")
@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_algorithm_works_off_its_order(trader: Trader, algorithms: dict[str, Any], name: str) -> None:
    started = algorithms[name]["algorithm_id"]
    deadline = time.monotonic() + EVENTUALLY_SECONDS
    while (shown := trader.command("algo", "show", started))["status"] != "completed":
        assert time.monotonic() < deadline, shown
        time.sleep(0.3)
    assert (shown["filled_quantity"], shown["slippage"] is None) == ("0.03", False)
    events = [event["type"] for event in trader.command("events", started, "--kind", "algorithm")]
    assert (events[0], events[-1]) == ("algorithm.started", "algorithm.completed")
    assert events.count("algorithm.child_placed") == events.count("algorithm.progressed") == shown["children"]
    assert shown["children"] > (name == "iceberg")  # how many of the others depends on the clock and the market
    children = [event["data"]["order_id"] for event in shown["events"] if event["type"] == "algorithm.child_placed"]
    lives = [trader.events({"order_id": child}) for child in children]
    filled = [life for life in lives if life[-1] == "filled"]  # on a busy machine one may end before it was sent
    assert filled
    assert all(life[:3] == ["created", "routed", "submit_started"] for life in filled)


@pytest.mark.requirement("P10")
def test_algorithm_pauses_goes_on_and_is_cancelled(trader: Trader) -> None:
    started = trader.algorithm("twap", "seconds=600", "slices=10")
    identifier = started["algorithm_id"]
    deadline = time.monotonic() + EVENTUALLY_SECONDS
    while not Decimal(trader.command("algo", "show", identifier)["filled_quantity"]):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert trader.command("algo", "pause", identifier)["status"] == "paused"
    assert trader.command("algo", "resume", identifier)["status"] == "running"
    trader.command("algo", "cancel", identifier)
    while (shown := trader.command("algo", "show", identifier))["status"] != "cancelled":
        assert time.monotonic() < deadline, shown
        time.sleep(0.3)
    events = [event["type"].removeprefix("algorithm.") for event in shown["events"]]
    assert events[0] == "started"
    assert events[-1] == "cancelled"
    assert events.index("paused") < events.index("resumed") < events.index("cancel_requested")


def test_cancel_all_and_close(trader: Trader) -> None:
    trader.run("order", "cancel-all", trader.instrument)
    trader.run("close", trader.instrument)
    if trader.is_spot:
        return
    deadline = time.monotonic() + EVENTUALLY_SECONDS
    while any(
        one["instrument"] == trader.instrument and one["account_id"] == trader.account and Decimal(one["quantity"])
        for one in trader.command("portfolio")["positions"]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.3)
