"""What happened, in one line: the human text of every event type. Rule: the line says nothing the event does not."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from patriot.cli.figures import money, number, signed

Data = Mapping[str, Any]


def story(kind: str, data: Data) -> str:
    """The line of one event."""
    tell = _STORIES.get(kind)
    return tell(data) if tell is not None else kind.partition(".")[2].replace("_", " ")


def terms(order: Data) -> str:
    """What was ordered: buy 0.01 BINANCE:BTC/USDT:USDT limit 59,000 GTC."""
    words = [order["side"], number(order["quantity"]), order["instrument"]]
    words += [order["order_type"].replace("_", " ")] if order.get("order_type") else []
    words += [number(order["price"])] if order.get("price") else []
    words += [f"trigger {number(order['stop_price'])}"] if order.get("stop_price") else []
    words += [trailing(order["trailing"])] if order.get("trailing") else []
    words += [f"showing {number(order['display_quantity'])}"] if order.get("display_quantity") else []
    words += [order["time_in_force"]] if order.get("time_in_force") and order.get("order_type") != "market" else []
    words += [name.replace("_", "-") for name in ("post_only", "reduce_only") if order.get(name)]
    return " ".join(words)


def trailing(rule: Data) -> str:
    """How a stop follows: 1.5 percent behind, from 61,000 on."""
    text = {"percent": "percent behind", "offset": "behind", "step": "behind, in steps", "break_even": "to break even"}
    words = [number(rule["distance"])] if rule.get("distance") else []
    words += [text.get(rule["rule"], str(rule["rule"]))]
    words += [f"of {number(rule['step'])}"] if rule.get("step") else []
    words += [f"entered at {number(rule['entry_price'])}"] if rule.get("entry_price") else []
    words += [f"from {number(rule['activation_price'])} on"] if rule.get("activation_price") else []
    return "trailing " + " ".join(words)


def place(data: Data) -> str:
    """Who does what the order asks for, and its place in its list: "; the platform keeps its trigger"."""
    emulated, link = data.get("emulated") or (), data.get("link")
    asks = any(data.get(name) for name in ("stop_price", "trailing", "display_quantity"))
    text = f"; the platform keeps its {' and '.join(emulated)}" if emulated else "; held by the venue" if asks else ""
    return text + (f"; {link['number'] + 1} of {link['size']} of {link['kind']} {link['list_id'][:8]}" if link else "")


def _created(data: Data) -> str:
    holds = [hold for hold in data["holds"] if Decimal(hold["reserved"])]
    held = [f"{money(hold['reserved'], hold['asset'])} {hold['asset']}" for hold in holds]
    return f"created: {terms(data)}" + (f", reserves {' and '.join(held)}" if held else "") + place(data)


def _triggered(data: Data) -> str:
    return f"triggered: {number(data['price'])} traded, its stop stood at {number(data['stop_price'])}"


def _wish(data: Data) -> str:
    price = f" at {number(data['price'])}" if data.get("price") else ""
    stop = f", stop {number(data['stop_price'])}" if data.get("stop_price") else ""
    return number(data["quantity"]) + price + stop


def _limits(limits: Data) -> str:
    return ", ".join(f"{name} {value}" for name, value in limits.items() if value is not None)


def _sum(data: Data) -> str:
    return f"{money(data['amount'], data['asset'])} {data['asset']}"


def _because(data: Data) -> str:
    text = " ".join(part for part in (data.get("code"), data.get("reason")) if part)
    return f": {text}" if text else ""


def _fill(data: Data) -> str:
    fee = f"fee {money(data['fee'], data['fee_asset'])} {data['fee_asset']}"
    text = f"filled {number(data['quantity'])} at {number(data['price'])} ({data['trade_id']}), {fee}"
    return text + (f"; {data['reason']}" if data.get("reason") else "")


def _position(data: Data) -> str:
    quantity = Decimal(data["quantity"])
    now = "flat"
    if quantity:
        side = "long" if quantity > 0 else "short"
        now = f"{side} {number(abs(quantity))} at {number(data['average_price'])}"
    earned = f", realised {signed(data['realised_pnl'])}" if Decimal(data["realised_pnl"]) else ""
    return f"{data['side']} {number(data['fill_quantity'])} at {number(data['price'])}: {now}{earned}"


def _adjusted(data: Data) -> str:
    asset = data["asset"]
    return (
        f"{signed(data['difference'], asset)} {asset}: the venue says {money(data['venue_balance'], asset)}"
        f" ({data['reason']})"
    )


def _progress(data: Data) -> str:
    cost = f", slippage {number(data['slippage'])} bp" if data.get("slippage") else ""
    return f"child {data['number']} {data['status']}{_because(data)}; {number(data['filled_quantity'])} done{cost}"


def _outcome(data: Data) -> str:
    if not data.get("average_price"):
        return "nothing was filled"
    text = f"{number(data['filled_quantity'])} at {number(data['average_price'])}"
    return f"{text}, slippage {number(data['slippage'])} bp"


def _profile(data: Data) -> str:
    return f"profile changed: base currency {data['base_currency']}"


def _setting(data: Data) -> str:
    where = f" in {data['part']}" if data.get("part") else ""
    until = f" until {data['until']}" if data.get("until") else ""
    value = f"is {data['value']}" if data.get("value") is not None else "is what the processes were started with"
    return f"{data['name']}{where} {value}{until}{_because(data)}"


_STORIES: Mapping[str, Callable[[Data], str]] = {
    "order.created": _created,
    "order.armed": lambda data: f"armed with {number(data['quantity'])}: what it waited for was filled",
    "order.stop_moved": lambda data: f"stop moved to {number(data['stop_price'])} after {number(data['reference'])}",
    "order.triggered": _triggered,
    "order.released": lambda data: f"may go, with {number(data['quantity'])}: its rivals are over",
    "order.routed": lambda data: f"routed to {data['route']}",
    "order.submit_started": lambda data: f"sent to the venue as {data['client_order_id']}, attempt {data['attempt']}",
    "order.submit_unknown": lambda data: f"the venue's answer is not known, asking it{_because(data)}",
    "order.accepted": lambda data: f"accepted by the venue as {data['venue_order_id']}",
    "order.modify_requested": lambda data: f"change to {_wish(data)} asked for",
    "order.modified": lambda data: f"changed to {_wish(data)}",
    "order.modify_rejected": lambda data: f"change refused{_because(data)}",
    "order.cancel_requested": lambda data: f"cancel asked for{_because(data)}",
    "order.cancel_rejected": lambda data: f"cancel refused{_because(data)}",
    "order.partially_filled": lambda data: f"{_fill(data)}, in all {number(data['filled_quantity'])}",
    "order.filled": _fill,
    "order.trade_busted": lambda data: (
        f"trade {data['trade_id']} taken back by the venue: {_wish(data)}{_because(data)}"
    ),
    "order.cancelled": lambda data: f"cancelled{_because(data)}",
    "order.rejected": lambda data: f"rejected by the venue{_because(data)}",
    "order.expired": lambda data: f"expired{_because(data)}",
    "position.updated": _position,
    "algorithm.started": lambda data: f"{data['algorithm']}: {terms(data)}, arrival {number(data['arrival_price'])}",
    "algorithm.child_placed": lambda data: f"child {data['number']}: {_wish(data)}, order {data['order_id'][:8]}",
    "algorithm.progressed": _progress,
    "algorithm.paused": lambda data: f"paused{_because(data)}",
    "algorithm.resumed": lambda _: "goes on",
    "algorithm.cancel_requested": lambda _: "cancel asked for",
    "algorithm.completed": lambda data: f"completed: {_outcome(data)}",
    "algorithm.cancelled": lambda data: f"cancelled{_because(data)}; {_outcome(data)}",
    "account.linked": lambda data: f"{data['mode']} account {data['label']!r} at {data['exchange']} linked",
    "account.credentials_rotated": lambda _: "credentials rotated",
    "account.deactivated": lambda _: "deactivated",
    "account.funded": lambda data: f"{signed(data['amount'], data['asset'])} {data['asset']} from {data['source']}",
    "account.leverage_changed": lambda data: f"{data['instrument']} is traded at {data['leverage']}x from now on",
    "account.balance_adjusted": _adjusted,
    "account.diverged": lambda data: f"{data['kind']} {data['subject']}: {data['ours']} here, {data['theirs']} there",
    "account.transfer_requested": lambda data: f"{data['kind']} of {_sum(data)} asked for",
    "account.transfer_approved": lambda data: f"approved by {data['approver_id']}",
    "account.transfer_rejected": lambda data: f"refused{_because(data)}",
    "account.transfer_sent": lambda data: f"{_sum(data)} taken out of {data['account_id']}",
    "account.transfer_arrived": lambda data: f"{_sum(data)} arrived",
    "account.transfer_returned": lambda data: f"{_sum(data)} put back{_because(data)}",
    "user.registered": lambda data: f"{data['username']!r} registered as {data['role']}",
    "user.profile_changed": _profile,
    "user.role_changed": lambda data: f"is {data['role']} from now on",
    "user.deactivated": lambda data: f"deactivated{_because(data)}",
    "user.signed_out": lambda _: "signed out everywhere",
    "user.password_reset": lambda data: (
        f"password reset; signed out everywhere; to be set anew by {data['expires_at']}"
    ),
    "user.password_changed": lambda _: "has a new password; signed out everywhere",
    "user.reactivated": lambda data: f"active again{_because(data)}",
    "setting.changed": _setting,
    "compliance.status_changed": lambda data: f"compliance: {data['status']}{_because(data)}",
    "strategy.deployed": lambda data: f"{data['kind']} {data['name']!r} deployed on {', '.join(data['instruments'])}",
    "strategy.assigned": lambda data: f"trades on account {data['account_id'][:8]}",
    "strategy.unassigned": lambda data: f"no longer trades on account {data['account_id'][:8]}",
    "strategy.parameters_changed": lambda data: f"parameters are now {data['parameters']}",
    "strategy.started": lambda _: "trades",
    "strategy.paused": lambda _: "follows the market without trading",
    "strategy.stopped": lambda _: "over",
    "risk.denied": lambda data: f"{terms(data)} denied: {data['reason']} ({data['code']})",
    "risk.limits_changed": lambda data: f"limits of {data['scope']} are now {_limits(data['limits'])}",
    "risk.halted": lambda data: f"{data['scope']} halted{_because(data)}",
    "risk.resumed": lambda data: f"{data['scope']} trades again{_because(data)}",
    "risk.alert_raised": lambda data: f"{data['metric']} {data['value']} beyond {data['limit']}: {data['action']}",
    "risk.alert_cleared": lambda data: f"{data['metric']} {data['value']} within {data['limit']} again",
}
