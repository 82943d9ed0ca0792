"""What traces cost an order. The limit is the same order without them, measured in the same run, rounds interleaved.

One process, the store in memory, a venue that fills at once: nothing but our own code, so the share is the largest that
there can be. `off` against `none` (the calls for traces taken out) is what those pay who want no traces.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from patriot.runtime import context, delivery, edge, secured
from patriot.runtime.clock import SystemIds
from patriot.runtime.settings import Settings
from patriot.telemetry.otlp import exporting
from patriot.telemetry.tracing import SILENT
from tests.integration.telemetry.test_traces import FillingVenue
from tests.support.collector import collecting
from tests.support.host import PERPETUAL, Client, define, running_host, set_price, until_idle

ORDERS = 40
ROUNDS = 7
PAUSE_SECONDS = 0.6  # an account may place 100 orders a second
SHARES = {"none": None, "off": None, "1 in 100": 0.01, "all": 1.0}


def run() -> list[dict[str, Any]]:
    with collecting() as collector:
        collector.take = _keep_nothing  # type: ignore[method-assign]  # what a collector does is not the order's cost
        figures = asyncio.run(_measure(collector.url))
    base = statistics.median(figures["none"])
    return [
        {
            "name": f"an order, traces: {name}",
            "value": statistics.median(rounds),
            "worst": max(rounds),
            "unit": "ms CPU",
            "ratio": statistics.median(rounds) / base,
            "peer": "no calls for traces in the code",
        }
        for name, rounds in figures.items()
    ]


def _keep_nothing(_: bytes) -> None:
    pass


async def _measure(url: str) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {name: [] for name in SHARES}
    async with running_host() as host:
        host.runtime.venues["paper"] = FillingVenue()
        await define(host.runtime.store, PERPETUAL)
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT="100000000")
        for number in range(ROUNDS + 1):
            for name, share in SHARES.items():
                settings = Settings(otlp_endpoint=url if share else "", trace_share=share or 1)
                await set_price(host, PERPETUAL.id, "60000", "60000.1")
                with _without_calls() if name == "none" else nullcontext():
                    async with exporting(settings, SystemIds()):
                        seconds = await _orders(host, user, account)
                await asyncio.sleep(PAUSE_SECONDS)
                if number:  # the first round warms up
                    figures[name].append(seconds * 1000 / ORDERS)
    return figures


async def _orders(host: Any, user: Client, account: str) -> float:
    terms = {"account_id": account, "instrument": PERPETUAL.id, "order_type": "limit", "quantity": "0.01"}
    started = time.process_time()
    for number in range(ORDERS):
        side = ("buy", "sell")[number % 2]
        await user.json("POST", "/orders", {**terms, "side": side, "price": "60000"}, 201)
        await until_idle(host)
    return time.process_time() - started


@contextmanager
def _without_calls() -> Iterator[None]:
    """The order's path as if nobody had thought of traces: constants instead of looks."""
    silent = nullcontext(SILENT)
    replaced: dict[tuple[Any, str], Any] = {
        (edge, "span"): lambda *_: silent,
        (delivery, "span"): lambda *_: silent,
        (secured, "step"): lambda *_, **__: silent,
        (context, "traced"): lambda work, _: work,
    }
    kept = {(module, name): getattr(module, name) for module, name in replaced}
    for (module, name), value in replaced.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name), value in kept.items():
            setattr(module, name, value)
