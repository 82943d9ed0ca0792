"""The live screen as lines of text. Rule: it fits into any terminal; what is wrong stands first in the last line.

patriot  synthetic market  up 2:31            http://127.0.0.1:8000/docs
equity 159,834.78 USDT  -12.30 (-0.01%)   ▁▂▃▅▆▇
USDT 99,995.43 (99,036.35 free)  BTC 1
markets · positions · open orders · fills: each as many rows as there is room for
● 8 prices  newest 0.1 s  0 reconnects  outbox 0           Ctrl-C stops it
"""

from collections.abc import Sequence
from decimal import Decimal

from rich.text import Text

from patriot.cli.figures import average, duration, fixed, moment, money, number, percent, signed, sparkline, style_of
from patriot.cli.lookup import short
from patriot.cli.tables import STYLES
from patriot.cli.view import MarketLine, Picture, Row

ARROWS = {1: ("▲", "green"), -1: ("▼", "red"), 0: (" ", "")}
NAME_WIDTH = 22
PRICE_WIDTH = 11
ROWS_ASSURED = 2
PATIENCE_SECONDS = 10
OUTBOX_FEW = 100


def lines(picture: Picture, width: int, height: int) -> Sequence[Text]:
    """At most `height` lines of at most `width` columns."""
    head = [_title(picture, width), _equity(picture, width), _balances(picture)]
    sections = [_markets(picture, width), _positions(picture), _open_orders(picture), _fills(picture)]
    rooms = _rooms([len(rows) for _, rows in sections], height - len(head) - len(sections) - 1)
    made = list(head)
    for (title, rows), room in zip(sections, rooms, strict=True):
        left_out = len(rows) - room
        made.append(Text.assemble(title, (f"  {left_out} more" if left_out > 0 and room else "", "dim")))
        made += rows[:room]
    made += [Text()] * (height - 1 - len(made))
    made.append(_foot(picture, width))
    for line in made:
        line.truncate(width)
    return made[:height]


def _rooms(wanted: Sequence[int], room: int) -> Sequence[int]:
    """Rows for each section: first some for all, then the rest in their order."""
    rooms = []
    for rows in wanted:
        rooms.append(max(0, min(rows, ROWS_ASSURED, room)))
        room -= rooms[-1]
    for index, rows in enumerate(wanted):
        more = max(0, min(rows - rooms[index], room))
        rooms[index] += more
        room -= more
    return rooms


def _title(picture: Picture, width: int) -> Text:
    left = Text.assemble(
        ("patriot", "bold"), (f"  {picture.source} market", "cyan"), ("  up ", "dim"), duration(picture.up_seconds)
    )
    return _ends(left, Text(f"{picture.url}/docs", "dim"), width)


def _equity(picture: Picture, width: int) -> Text:
    portfolio = picture.portfolio
    if portfolio is None:
        return Text("nobody is logged in: the market alone", "dim")
    if portfolio["equity"] is None or picture.equity_start is None:
        return Text("equity unknown: waiting for prices", "yellow")
    equity = Decimal(portfolio["equity"])
    change = equity - picture.equity_start
    unrealised = sum((Decimal(row["unrealised_pnl"] or 0) for row in portfolio["positions"]), Decimal(0))
    line = Text.assemble(
        ("equity ", "dim"), (f"{money(equity)} {portfolio['currency']}", "bold"), "  ",
        (f"{signed(change)} ({percent(change, picture.equity_start)})", style_of(change)),
        ("  open ", "dim"), (signed(unrealised), style_of(unrealised)), "  ",
    )  # fmt: skip
    return line.append(sparkline(picture.equities, min(60, width - line.cell_len)), "cyan")


def _balances(picture: Picture) -> Text:
    line = Text()
    for row in (picture.portfolio or {}).get("balances", ()):
        asset = row["asset"]
        line.append(f"{asset} ", "dim").append(money(row["total"], asset))
        bound = Decimal(row["total"]) - Decimal(row["available"])
        line.append(f" ({money(row['available'], asset)} free)" if bound else "", "dim").append("   ")
    return line


Section = tuple[Text, Sequence[Text]]


def _markets(picture: Picture, width: int) -> Section:
    if not picture.markets:
        return _heading("  market", "no price yet"), _no_price(picture)
    title = _heading("  market", f"{'bid':>{PRICE_WIDTH}} {'ask':>{PRICE_WIDTH}} {'change':>8}")
    return title, [_market(picture, line, width) for line in picture.markets]


def _no_price(picture: Picture) -> Sequence[Text]:
    if picture.source != "live" or picture.up_seconds < PATIENCE_SECONDS:
        return []
    hint = "  no exchange answers: is there a network? `patriot up` without --live makes its own market"
    return [Text(hint, "yellow")]


def _market(picture: Picture, market: MarketLine, width: int) -> Text:
    arrow, colour = ARROWS[market.direction]
    price = market.price
    change = percent(price.last - market.first, market.first)
    line = Text.assemble(
        (f"{arrow} ", colour), f"{market.instrument:<{NAME_WIDTH}}",
        (f"{fixed(price.bid, market.decimals):>{PRICE_WIDTH}}", colour), " ",
        (f"{fixed(price.ask, market.decimals):>{PRICE_WIDTH}}", colour), " ",
        (f"{change:>8}", style_of(price.last - market.first)), "  ",
    )  # fmt: skip
    age = (picture.now - price.as_of).total_seconds()
    if age > picture.staleness_seconds:
        return line.append(f"stale for {duration(age)}", "bold red")
    return line.append(sparkline(tuple(market.history), min(60, width - line.cell_len)), "dim cyan")


def _positions(picture: Picture) -> Section:
    held = [row for row in (picture.portfolio or {}).get("positions", ()) if row["quantity"] != "0"]
    return _heading("positions", "" if held else "none"), [_position(row) for row in held]


def _position(row: Row) -> Text:
    profit, realised = row["unrealised_pnl"], row["realised_pnl"]
    return Text.assemble(
        f"  {row['instrument']:<{NAME_WIDTH}}", (f"{number(row['quantity']):>8}", style_of(row["quantity"])),
        (" at ", "dim"), f"{average(row['average_price']):<{PRICE_WIDTH}}",
        (" open ", "dim"), (f"{signed(profit) or '?':>8}", style_of(profit)),
        (" realised ", "dim"), (f"{signed(realised):>8}", style_of(realised)),
    )  # fmt: skip


def _open_orders(picture: Picture) -> Section:
    orders = picture.open_orders
    return _heading("open orders", "" if orders else "none"), [_open_order(order) for order in orders]


def _open_order(order: Row) -> Text:
    price = number(order["price"] or order["stop_price"]) or "market"
    return Text.assemble(
        f"  {order['instrument']:<{NAME_WIDTH}}", (f"{order['side']:<4}", STYLES[order["side"]]),
        f" {number(order['filled_quantity'])}/{number(order['quantity'])}", (" at ", "dim"), f"{price:<{PRICE_WIDTH}} ",
        (order["status"].replace("_", " "), STYLES.get(order["status"], "")), ("  ", ""),
        (short(order["order_id"]), "dim"),
    )  # fmt: skip


def _fills(picture: Picture) -> Section:
    trades = picture.trades
    return _heading("fills", "UTC" if trades else "none yet"), [_fill(trade) for trade in trades]


def _fill(trade: Row) -> Text:
    return Text.assemble(
        (f"  {moment(trade['time'])} ", "dim"), f"{trade['instrument']:<{NAME_WIDTH}}",
        (f"{trade['side']:<4}", STYLES[trade["side"]]), f" {number(trade['quantity'])}", (" at ", "dim"),
        number(trade["price"]), (f"  fee {money(trade['fee'], trade['fee_asset'])} {trade['fee_asset']}", "dim"),
    )  # fmt: skip


def _foot(picture: Picture, width: int) -> Text:
    ages = [(picture.now - line.price.as_of).total_seconds() for line in picture.markets]
    stale = sum(age > picture.staleness_seconds for age in ages)
    bad = stale or not ages or picture.dead_letters
    left = Text.assemble(
        ("● ", "red" if bad else "green"),
        (f"{picture.dead_letters} dead letters  " if picture.dead_letters else "", "bold red"),
        (f"{stale} stale  " if stale else "", "bold red"),
        (f"{picture.reconnects} reconnects  " if picture.reconnects else "", "yellow"),
        (f"outbox {picture.outbox_depth}  ", "yellow" if picture.outbox_depth > OUTBOX_FEW else ""),
        f"{len(ages)} price{'s' * (len(ages) != 1)}", (f", {max(0.0, min(ages)):.1f} s old" if ages else "", ""),
        f"  {picture.ticks_per_second:,.0f} ticks/s",
    )  # fmt: skip
    return _ends(left, Text("Ctrl-C stops everything", "dim"), width)


def _heading(name: str, rest: str) -> Text:
    return Text.assemble((f"{name:<{NAME_WIDTH + 2}}", "bold"), (rest, "dim"))


def _ends(left: Text, right: Text, width: int) -> Text:
    """One at each end of the line; the right one only where both fit."""
    gap = width - left.cell_len - right.cell_len
    return left.append(" " * gap).append_text(right) if gap >= 2 else left
