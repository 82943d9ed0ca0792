"""What trades by itself, in some seeds: execution algorithms, strategies. Rule: most seeds are without, and stay cheap.

The strategy has an account of its own, so it is known what it may hold: never more than it wants to.
"""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final, Literal
from uuid import UUID

from feeds.strategies.app import Instances
from feeds.strategies.app import feed as strategies
from feeds.trading_engine.app import feed as trading_engine
from patriot.runtime.embedded import Host
from tests.simulation.clients import Call, Clients, Trader
from tests.simulation.market import Market
from tests.simulation.watch import ROBOT, Watch
from tests.support.host import PERPETUAL

Kind = Literal["clients", "algorithms", "strategies"]

FEED: Final[Mapping[Kind, str]] = {"algorithms": trading_engine.name, "strategies": strategies.name}
TURN: Final[Mapping[int, Kind]] = {13: "algorithms", 29: "strategies"}
TURNS = 40
ALGORITHMS_MAX = 2
NOTIONAL = "300"
LIVES_SECONDS, ENDS_SECONDS = 16.0, 8.0
RESTS = ("pause", "stop", "unassign")

PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "twap": {"seconds": 4, "slices": 4, "jitter": 0.5},
    "vwap": {"seconds": 4, "slices": 3},
    "pov": {"seconds": 6, "participation": 0.5},
    "iceberg": {"seconds": 8, "display": 0.4},
    "shortfall": {"seconds": 4, "slices": 4},
}


def kind_of(seed: int) -> Kind:
    """What is in this seed beside the clients."""
    return TURN.get(seed % TURNS, "clients")


def seeds_of(kind: Kind) -> Iterator[int]:
    """All of them; clients are in every one."""
    return (seed for seed in count() if kind in ("clients", kind_of(seed)))


class Robots:
    """Somebody starts them, thinks again, and lets them come to their end."""

    def __init__(self, clients: Clients, market: Market, watch: Watch, rng: random.Random) -> None:
        self._clients, self._market, self._watch, self._rng = clients, market, watch, rng
        self._owners: dict[UUID, Trader] = {}
        self._strategy: tuple[str, Trader] | None = None

    async def live(self, kind: Kind, traders: Sequence[Trader]) -> None:
        if kind == "algorithms":
            number = self._rng.randint(1, ALGORITHMS_MAX)
            await asyncio.gather(*(self._work_off(turn, self._rng.choice(traders)) for turn in range(number)))
        elif kind == "strategies":
            await self._deploy(traders[-1])

    # --- execution algorithms ---
    async def _work_off(self, turn: int, trader: Trader) -> None:
        await asyncio.sleep(self._rng.random())
        call = Call("POST", "/algorithms", self._parent(trader), trader.token, f"algorithm-{turn}", trading_engine.name)
        told = await self._clients.told(call)
        if "algorithm_id" not in told:
            return  # refused, for want of a fresh price
        algorithm_id = UUID(told["algorithm_id"])
        self._owners[algorithm_id] = trader
        for step in range(self._rng.choice((0, 1, 1, 2))):
            await asyncio.sleep(self._rng.random() * 3)
            if self._rng.random() < 0.3:
                await self._cancel(algorithm_id)
                return
            await self._change(algorithm_id, "pause", f"-{step}")
            await asyncio.sleep(self._rng.random() * 3)
            await self._change(algorithm_id, "resume", f"-{step}")

    def _parent(self, trader: Trader) -> dict[str, Any]:
        name, side = self._rng.choice(sorted(PARAMETERS)), self._rng.choice(("buy", "sell"))
        away = self._rng.choice((None, None, -5, 25))
        limit = None if away is None else f"{self._market.middle + (away if side == 'buy' else -away):.1f}"
        return {
            "account_id": trader.account_id,
            "algorithm": name,
            "instrument": PERPETUAL.id,
            "side": side,
            "quantity": self._rng.choice(("0.004", "0.011", "0.03")),
            "limit_price": limit,
            "parameters": {**PARAMETERS[name], "patience_seconds": self._rng.choice((0.3, 1.5))},
        }

    async def _change(self, algorithm_id: UUID, change: str, key: str = "") -> None:
        token, path = self._owners[algorithm_id].token, f"/algorithms/{algorithm_id}/{change}"
        await self._clients.insist(
            Call("POST", path, None, token, f"{algorithm_id}-{change}{key}", trading_engine.name)
        )

    async def _cancel(self, algorithm_id: UUID) -> None:
        token, path = self._owners[algorithm_id].token, f"/algorithms/{algorithm_id}"
        await self._clients.insist(Call("DELETE", path, None, token, f"{algorithm_id}-cancel", trading_engine.name))

    # --- strategies ---
    async def _deploy(self, trader: Trader) -> None:
        body = {
            "kind": "ema_cross",
            "name": ROBOT,
            "account_id": trader.account_id,
            "instruments": [PERPETUAL.id],
            "parameters": {"bar_seconds": 1, "fast": 1, "slow": 2, "notional": NOTIONAL},
            "start": True,
        }
        told = await self._clients.told(Call("POST", "/strategies", body, trader.token, "deploy"))
        self._strategy = (f"/strategies/{told['strategy_id']}", trader)
        await asyncio.gather(asyncio.sleep(LIVES_SECONDS), self._rest_sometimes())

    async def _rest_sometimes(self) -> None:
        for turn in range(self._rng.choice((0, 1, 2, 3))):
            await asyncio.sleep(self._rng.random() * 5)
            await self._rest(self._rng.choice(RESTS), turn)

    async def _rest(self, how: str, turn: int) -> None:
        """Let the strategy place nothing for a moment."""
        assert self._strategy is not None
        path, trader = self._strategy
        steps = [("POST", how, None), ("POST", "start", None)]
        if how == "unassign":
            account = {"account_id": trader.account_id}
            steps = [("DELETE", f"assignments/{trader.account_id}", None), ("POST", "assignments", account)]
        for method, step, body in steps:
            await self._clients.insist(Call(method, f"{path}/{step}", body, trader.token, f"{turn}-{step}"))
            await asyncio.sleep(self._rng.random() * 2)

    # --- the end ---
    async def end(self) -> None:
        """Let algorithms come to an end by themselves, if they do; and let the strategy only look on."""
        for parent in self._watch.parents.running:
            await self._change(parent.algorithm_id, "resume")
        if self._watch.parents.running:
            await asyncio.sleep(ENDS_SECONDS)
        for parent in self._watch.parents.running:
            await self._cancel(parent.algorithm_id)
        if self._strategy is not None:
            path, trader = self._strategy
            await self._clients.insist(Call("POST", f"{path}/pause", None, trader.token, "pause"))

    def check(self, host: Host) -> None:
        """At rest: the strategy knows its position, and waits for no order that is over."""
        instances = host.runtime.local.get(strategies.name)
        if self._strategy is None or not isinstance(instances, Instances):
            return
        for instance in instances.running:
            held = self._watch.held
            self._watch.require(
                instance.strategy.position == held, f"holds {held}, believes {instance.strategy.position}"
            )
            waits = instance.runner.waits_for - {order.order_id for order in self._watch.open}
            self._watch.require(not waits, f"the strategy waits for {waits}, which are over")
