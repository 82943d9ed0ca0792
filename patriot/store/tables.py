"""The read-model tables: one declaration that both stores, the migrations' test and `find` go by.

`tenant_id` and `correlation_id` come from the commit's origin, never from a row's values. A column of type `amount`
is exact: more than 18 decimals are refused. A column of type `number` (averages, ratios) is rounded to 18 decimals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ColumnType = Literal[
    "uuid", "text", "amount", "number", "integer", "bigint", "boolean", "timestamptz", "jsonb", "bytea"
]

SQL_TYPES: Mapping[ColumnType, str] = {
    "uuid": "uuid",
    "text": "text",
    "amount": "numeric",
    "number": "numeric",
    "integer": "integer",
    "bigint": "bigint",
    "boolean": "boolean",
    "timestamptz": "timestamp with time zone",
    "jsonb": "jsonb",
    "bytea": "bytea",
}


@dataclass(frozen=True, slots=True)
class Table:
    """One read-model table.

    `columns` leaves out tenant_id and correlation_id, which tables with a tenant have too. `version` names the column
    that decides which of two rows is newer. A `disposable` table is emptied before a rebuild; `by_rows` is False
    where only balance and quota changes write. Each column of `unique` is unique over all tenants.
    """

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, ColumnType]
    tenant: bool = True
    version: str | None = None
    disposable: bool = True
    by_rows: bool = True
    unique: tuple[str, ...] = ()

    @property
    def full_key(self) -> tuple[str, ...]:
        return ("tenant_id", *self.key) if self.tenant else self.key

    @property
    def all_columns(self) -> Mapping[str, ColumnType]:
        return {**_TENANT_COLUMNS, **self.columns} if self.tenant else self.columns


_TENANT_COLUMNS: Mapping[str, ColumnType] = {"tenant_id": "uuid", "correlation_id": "text"}

# fmt: off
_TABLES = (
    Table(
        "users",
        ("id",),
        {
            "id": "uuid", "telegram_id": "bigint", "username": "text", "email": "text", "display_name": "text",
            "role": "text", "status": "text", "compliance_status": "text", "password_hash": "text",
            "totp_secret_encrypted": "text", "created_at": "timestamptz", "updated_at": "timestamptz",
            "signed_out_at": "timestamptz", "reset_hash": "text", "reset_expires_at": "timestamptz",
            "stream_version": "integer",
        },
        version="stream_version",
        disposable=False,  # holds secrets, which no event may carry
        unique=("telegram_id", "email"),
    ),
    Table(
        "user_accounts",
        ("id",),
        {
            "id": "uuid", "user_id": "uuid", "exchange": "text", "mode": "text", "name": "text",
            "api_key_encrypted": "text", "api_secret_encrypted": "text", "api_passphrase_encrypted": "text",
            "encryption_key_id": "text", "is_active": "boolean", "created_at": "timestamptz",
            "updated_at": "timestamptz", "leverages": "jsonb", "stream_version": "integer",
        },
        version="stream_version",
        disposable=False,  # holds secrets, which no event may carry
    ),
    Table(
        "orders",
        ("id",),
        {
            "id": "uuid", "account_id": "uuid", "user_id": "uuid", "strategy_id": "text", "parent_id": "uuid",
            "instrument": "text", "side": "text", "type": "text", "time_in_force": "text", "reduce_only": "boolean",
            "post_only": "boolean", "quantity": "amount", "price": "amount", "stop_price": "amount",
            "filled_quantity": "amount", "average_price": "number", "fees": "number", "fee_asset": "text",
            "status": "text", "venue_order_id": "text", "client_order_id": "text", "reason": "text",
            "created_at": "timestamptz", "updated_at": "timestamptz", "expires_at": "timestamptz",
            "stream_version": "integer", "list_id": "uuid", "list_kind": "text", "emulated": "text",
            "waits_for": "text", "trail": "jsonb", "reference": "amount", "display_quantity": "amount",
        },
        version="stream_version",
    ),
    Table(
        "algorithms",
        ("id",),
        {
            "id": "uuid", "account_id": "uuid", "user_id": "uuid", "algorithm": "text", "instrument": "text",
            "side": "text", "status": "text", "quantity": "amount", "limit_price": "amount", "arrival_price": "amount",
            "filled_quantity": "amount", "average_price": "number", "slippage": "number", "placed": "integer",
            "parameters": "jsonb", "reason": "text", "created_at": "timestamptz", "updated_at": "timestamptz",
            "stream_version": "integer",
        },
        version="stream_version",
    ),
    Table(
        "positions",
        ("account_id", "instrument"),
        {
            "account_id": "uuid", "instrument": "text", "quantity": "amount", "average_price": "number",
            "realised_pnl": "number", "fees": "number", "leverage": "integer", "updated_at": "timestamptz",
            "stream_version": "integer",
        },
        version="stream_version",
    ),
    Table(
        "trades",
        ("account_id", "trade_id", "order_id"),
        {
            "account_id": "uuid", "trade_id": "text", "order_id": "uuid", "instrument": "text", "side": "text",
            "quantity": "amount", "price": "amount", "fee": "amount", "fee_asset": "text", "liquidity": "text",
            "realised_pnl": "number", "executed_at": "timestamptz",
        },
    ),
    Table(
        "ledger_entries",
        ("posting_id", "entry_no"),
        {
            "posting_id": "uuid", "entry_no": "integer", "account_code": "text", "account_id": "uuid",
            "asset": "text", "amount": "amount", "description": "text", "posted_at": "timestamptz",
        },
    ),
    Table(
        "account_balances",
        ("account_id", "asset"),
        {
            "account_id": "uuid", "asset": "text", "total": "amount", "free": "amount", "used": "amount",
            "updated_at": "timestamptz", "stream_version": "bigint",
        },
        version="stream_version",
        disposable=False,  # what venues report is not in the events
    ),
    Table(
        "buying_power",
        ("account_id", "asset"),
        {"account_id": "uuid", "asset": "text", "total": "amount", "reserved": "amount", "margin": "amount"},
        by_rows=False,
    ),
    Table("quotas", ("account_id", "name"), {"account_id": "uuid", "name": "text", "used": "amount"}, by_rows=False),
    Table(
        "strategies",
        ("id",),
        {
            "id": "uuid", "strategy_id": "uuid", "user_id": "uuid", "account_id": "uuid", "name": "text",
            "kind": "text", "parameters": "jsonb", "status": "text", "created_at": "timestamptz",
            "updated_at": "timestamptz", "stream_version": "integer",
        },
        version="stream_version",
    ),
    Table(
        "transfers",
        ("id",),
        {
            "id": "uuid", "user_id": "uuid", "kind": "text", "account_id": "uuid", "to_account_id": "uuid",
            "asset": "text", "amount": "amount", "destination": "text", "status": "text", "reason": "text",
            "approvals": "integer", "approvals_needed": "integer", "created_at": "timestamptz",
            "updated_at": "timestamptz", "stream_version": "integer",
        },
        version="stream_version",
    ),
    Table(
        "instruments",
        ("id",),
        {
            "id": "text", "native_symbol": "text", "base": "text", "quote": "text", "settle": "text", "kind": "text",
            "tick_size": "amount", "lot_size": "amount", "price_decimals": "integer", "quantity_decimals": "integer",
            "minimum_quantity": "amount", "maximum_quantity": "amount", "minimum_notional": "amount",
            "contract_size": "amount", "maker_fee": "amount", "taker_fee": "amount", "maximum_leverage": "integer",
            "maintenance_margin_rate": "amount", "trading": "boolean", "version": "integer",
        },
        tenant=False,
        version="version",
        disposable=False,
    ),
    Table(
        "portfolio_snapshots",
        ("account_id", "instrument", "time"),
        {
            "time": "timestamptz", "account_id": "uuid", "instrument": "text", "quantity": "number",
            "value_usd": "number", "unrealized_pnl": "number",
        },
        disposable=False,  # sampled against market prices, which are not in the events
    ),
    Table(
        "performance_metrics",
        ("user_id", "time"),
        {
            "time": "timestamptz", "user_id": "uuid", "total_balance_usd": "number", "daily_pnl": "number",
            "total_pnl": "number", "sharpe_ratio": "number", "max_drawdown": "number",
        },
        disposable=False,
    ),
    Table(
        "ticks",
        ("instrument", "time", "trade_id"),
        {
            "time": "timestamptz", "instrument": "text", "trade_id": "text", "price": "number", "quantity": "number",
            "side": "text",
        },
        tenant=False,
        disposable=False,
    ),
    Table(
        "ohlc",
        ("instrument", "interval", "time"),
        {
            "time": "timestamptz", "instrument": "text", "interval": "text", "open": "number", "high": "number",
            "low": "number", "close": "number", "volume": "number", "trades": "integer",
        },
        tenant=False,
        disposable=False,
    ),
    Table(
        "dead_letters",
        ("id",),
        {
            "id": "text", "topic": "text", "consumer": "text", "body": "bytea", "error": "text",
            "attempts": "integer", "created_at": "timestamptz", "replayed_at": "timestamptz",
        },
        disposable=False,
    ),
    Table(
        "state",
        ("store", "key"),
        {
            "store": "text", "key": "text", "value": "bytea", "etag": "text", "expires_at": "timestamptz",
        },
        disposable=False,
    ),
)
# fmt: on

TABLES: Mapping[str, Table] = {table.name: table for table in _TABLES}
