"""Account, positions and leverage over REST. Rule: one unified account, cross margin, one-way positions."""

from typing import Any, Final

from feeds.venue.accounts import Account, PositionView
from feeds.venue.errors import VenueError
from feeds.venue.exchange import Exchange
from feeds.venue.wire.bybit_errors import (
    LEVERAGE_SAME,
    MARGIN_MODE_SAME,
    UNIFIED_FORBIDDEN,
    Refused,
    malformed,
    refused,
)
from feeds.venue.wire.bybit_orders import scope
from feeds.venue.wire.bybit_parameters import Parameters
from feeds.venue.wire.bybit_rows import position_row, text
from feeds.venue.wire.bybit_wallet import wallet_row

Result = dict[str, Any]

UNIFIED_MARGIN_STATUS: Final = 6
"""Unified trading account 2.0 Pro."""


def positions(exchange: Exchange, account: Account, parameters: Parameters) -> Result:
    """Answer /v5/position/list: a named symbol also when flat, of several only the open ones."""
    if parameters.category() == "spot":
        raise malformed("category", "must be linear or inverse")
    wanted = {instrument.id for instrument in scope(exchange, parameters)}
    if parameters.text("symbol"):
        found: list[PositionView] = [exchange.position(account, instrument_id) for instrument_id in wanted]
    else:
        found = [position for position in exchange.positions(account) if position.instrument.id in wanted]
    rows = [position_row(position) for position in found]
    return {"category": parameters.category(), "list": rows, "nextPageCursor": ""}


def set_leverage(exchange: Exchange, account: Account, parameters: Parameters) -> Result:
    instrument = parameters.instrument(exchange)
    buy, sell = parameters.needed_decimal("buyLeverage"), parameters.needed_decimal("sellLeverage")
    if buy != sell:
        raise malformed("buyLeverage", "must equal sellLeverage in one-way mode")
    if buy != int(buy):
        raise malformed("buyLeverage", "must be a whole number")
    try:
        if exchange.leverage(account, instrument.id) == buy:
            raise Refused(LEVERAGE_SAME, "leverage not modified")
        exchange.set_leverage(account, instrument.id, int(buy))
    except VenueError as error:
        raise refused(error, instrument.kind) from error
    return {}


def switch_isolated(exchange: Exchange, _: Account, parameters: Parameters) -> Result:
    """Cross margin is the only mode, so nothing can be switched."""
    parameters.instrument(exchange)
    if parameters.choice("tradeMode", ("0", "1")) == "1":
        raise Refused(UNIFIED_FORBIDDEN, "unified account is forbidden")
    raise Refused(MARGIN_MODE_SAME, "cross/isolated margin mode is not modified")


def wallet_balance(exchange: Exchange, account: Account, parameters: Parameters) -> Result:
    parameters.choice("accountType", ("UNIFIED",), "UNIFIED")
    coins = [coin for coin in parameters.text("coin").split(",") if coin]
    return {"list": [wallet_row(exchange, account, coins)]}


def info(exchange: Exchange, _: Account, __: Parameters) -> Result:
    return {
        "marginMode": "REGULAR_MARGIN",
        "updatedTime": str(exchange.now_ms()),
        "unifiedMarginStatus": UNIFIED_MARGIN_STATUS,
        "dcpStatus": "OFF",
        "timeWindow": 10,
        "smpGroup": 0,
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
    }


def fee_rate(exchange: Exchange, _: Account, parameters: Parameters) -> Result:
    rows = [
        {
            "symbol": instrument.native_symbol,
            "takerFeeRate": text(instrument.taker_fee),
            "makerFeeRate": text(instrument.maker_fee),
            "baseCoin": "",
        }
        for instrument in parameters.instruments(exchange)
    ]
    return {"list": rows}


def query_api(exchange: Exchange, account: Account, _: Parameters) -> Result:
    """Tell what the key may do. `uta` 1 with `unified` 1 would hang ccxt's watchBalance."""
    return {
        "id": account.name,
        "note": account.name,
        "apiKey": account.api_key,
        "readOnly": 0,
        "secret": "",
        "permissions": {
            "ContractTrade": ["Order", "Position"],
            "Spot": ["SpotTrade"],
            "Wallet": [],
            "Options": [],
            "Derivatives": ["DerivativesTrade"],
            "Exchange": [],
            "Earn": [],
        },
        "ips": ["*"],
        "type": 1,
        "deadlineDay": -2,
        "expiredAt": "",
        "createdAt": "",
        "unified": 0,
        "uta": 1,
        "userID": account.name,
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": True,
        "parentUid": "0",
        "kycLevel": "LEVEL_DEFAULT",
        "kycRegion": "",
        "serverTime": exchange.now_ms(),
    }


def coin_info(exchange: Exchange, _: Account, parameters: Parameters) -> Result:
    """Name the coins; none can be sent over a chain."""
    instruments = exchange.instruments
    coins = {one.base for one in instruments} | {one.quote for one in instruments} | {one.settle for one in instruments}
    wanted = parameters.text("coin")
    rows = [
        {"name": coin, "coin": coin, "remainAmount": "0", "chains": []}
        for coin in sorted(coins - {""})
        if wanted in {"", coin}
    ]
    return {"rows": rows}
