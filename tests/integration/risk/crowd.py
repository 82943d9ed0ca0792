"""One of several processes that order for one account at once: `python -m tests.integration.risk.crowd …`."""

import asyncio
import random
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import orjson

from patriot.domain.venue import Rejected
from patriot.store.connections import urls_of
from patriot.store.postgres import PostgresStore
from tests.support.host import PASSWORD, PERPETUAL, Client, running_host, set_price, until_idle
from tests.support.venues import RestingVenue

INSTRUMENTS = tuple(replace(PERPETUAL, id=f"BINANCE:{name}/USDT:USDT", base=name) for name in ("AAA", "BBB", "CCC"))
AT_ONCE = 50


class Moody(RestingVenue):
    """Refuses every fourth order."""

    async def create(self, order: Any) -> Any:
        answer = await super().create(order)
        return Rejected("moody", "not today") if len(self.created) % 4 == 0 else answer


async def main(database: str, account: str, orders: int, seed: int) -> dict[str, Any]:
    store = await PostgresStore.open(urls_of(database))
    async with running_host(store, feeds=()) as host:  # a relay would hand orders to the venue of another
        host.runtime.venues["paper"] = Moody()
        for instrument in INSTRUMENTS:
            await set_price(host, instrument.id, "59999.9", "60000.1")
        credentials = {"username": "ada", "password": PASSWORD}
        token = (await Client(host).json("POST", "/auth/token", credentials))["access_token"]
        user, chance, refused, taken = Client(host, token), random.Random(seed), Counter[str](), list[str]()

        async def one() -> None:
            order = {
                "account_id": account,
                "instrument": chance.choice(INSTRUMENTS).id,
                "side": chance.choice(["buy", "sell"]),
                "quantity": f"0.00{chance.randint(1, 9)}",
                "price": "60000",
            }
            answer = await user.call("POST", "/orders", order)
            while "retry-after" in answer.headers:  # four processes may be more than a machine can bear
                await asyncio.sleep(float(answer.headers["retry-after"]))
                answer = await user.call("POST", "/orders", order)
            body = orjson.loads(answer.body)
            if answer.status != 201:
                refused[body["code"]] += 1
                return
            taken.append(body["order_id"])
            if chance.random() < 0.5:
                await user.call("DELETE", f"/orders/{body['order_id']}")

        gate = asyncio.Semaphore(AT_ONCE)

        async def in_turn() -> None:
            async with gate:
                await one()

        await asyncio.gather(*(in_turn() for _ in range(orders)))
        for order_id in taken:
            await user.call("DELETE", f"/orders/{order_id}")
        await until_idle(host, 60)
    await store.close()
    return {"taken": len(taken), "refused": refused}


if __name__ == "__main__":
    result = asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    sys.stdout.write(orjson.dumps(result).decode() + "\n")
