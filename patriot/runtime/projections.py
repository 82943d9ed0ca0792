"""From folded state to the rows of the read models. Projection and rebuild both come through here."""

from datetime import datetime
from uuid import uuid5

import orjson

from patriot.domain.algorithm import Algorithm
from patriot.domain.deployment import Deployment
from patriot.domain.money import ZERO
from patriot.domain.order import Order
from patriot.domain.position import Position
from patriot.domain.transfer import Transfer
from patriot.store.api import Row
from schemas.events import PositionUpdated


def order_row(order: Order) -> Row:
    return Row(
        "orders",
        {
            "id": order.order_id,
            "account_id": order.account_id,
            "user_id": order.user_id,
            "strategy_id": order.strategy_id,
            "parent_id": order.parent_id,
            "list_id": order.list_id,
            "list_kind": order.list_kind,
            "emulated": ",".join(order.emulated),
            "waits_for": order.waits_for,
            "trail": order.trailing and order.trailing.model_dump(mode="json"),
            "reference": order.reference,
            "display_quantity": order.display_quantity,
            "instrument": order.instrument,
            "side": order.side,
            "type": order.order_type,
            "time_in_force": order.time_in_force,
            "reduce_only": order.reduce_only,
            "post_only": order.post_only,
            "quantity": order.quantity,
            "price": order.price,
            "stop_price": order.stop_price,
            "filled_quantity": order.filled_quantity,
            "average_price": order.average_price,
            "fees": sum(order.fees.values(), ZERO),
            "fee_asset": ",".join(sorted(order.fees)),
            "status": order.status,
            "venue_order_id": order.venue_order_id,
            "client_order_id": order.client_order_id,
            "reason": order.reason,
            "created_at": order.created_at,
            "updated_at": order.updated_at,
            "expires_at": order.expire_at,
            "stream_version": order.version,
        },
    )


def algorithm_row(state: Algorithm) -> Row:
    names = (
        "account_id", "user_id", "algorithm", "instrument", "side", "status", "quantity", "limit_price",
        "arrival_price", "filled_quantity", "average_price", "slippage", "placed", "reason", "updated_at",
    )  # fmt: skip
    told = {name: getattr(state, name) for name in names}
    own = {"id": state.algorithm_id, "parameters": dict(state.parameters), "created_at": state.started_at}
    return Row("algorithms", {**told, **own, "stream_version": state.version})


def trade_row(update: PositionUpdated, recorded_at: datetime) -> Row:
    return Row(
        "trades",
        {
            "account_id": update.account_id,
            "trade_id": update.trade_id,
            "order_id": update.order_id,
            "instrument": update.instrument,
            "side": update.side,
            "quantity": update.fill_quantity,
            "price": update.price,
            "fee": update.fee,
            "fee_asset": update.fee_asset,
            "liquidity": update.liquidity,
            "realised_pnl": update.realised_pnl,
            "executed_at": update.venue_time or recorded_at,
        },
    )


def position_row(position: Position) -> Row:
    return Row(
        "positions",
        {
            "account_id": position.account_id,
            "instrument": position.instrument,
            "quantity": position.quantity,
            "average_price": position.average_price,
            "realised_pnl": position.realised_pnl,
            "fees": sum(position.fees.values(), ZERO),
            "leverage": position.leverage,
            "updated_at": position.updated_at,
            "stream_version": position.version,
        },
    )


def transfer_row(transfer: Transfer) -> Row:
    return Row(
        "transfers",
        {
            "id": transfer.transfer_id,
            "user_id": transfer.user_id,
            "kind": transfer.kind,
            "account_id": transfer.account_id,
            "to_account_id": transfer.to_account_id,
            "asset": transfer.asset,
            "amount": transfer.amount,
            "destination": transfer.destination,
            "status": transfer.status,
            "reason": transfer.reason,
            "approvals": len(transfer.approvals),
            "approvals_needed": transfer.approvals_needed,
            "created_at": transfer.created_at,
            "updated_at": transfer.updated_at,
            "stream_version": transfer.version,
        },
    )


def strategy_rows(deployment: Deployment) -> list[Row]:
    """One row per account that it was ever assigned to: what the feed runs."""
    parameters = {**orjson.loads(deployment.parameters), "instruments": list(deployment.instruments)}
    return [
        Row(
            "strategies",
            {
                "id": uuid5(deployment.strategy_id, str(one.account_id)),
                "strategy_id": deployment.strategy_id,
                "user_id": one.owner_id,
                "account_id": one.account_id,
                "name": deployment.name,
                "kind": deployment.kind,
                "parameters": parameters,
                "status": deployment.status if one.active else "stopped",
                "created_at": deployment.created_at,
                "updated_at": deployment.updated_at,
                "stream_version": deployment.version,
            },
        )
        for one in deployment.assignments.values()
    ]
