"""One HTML page that holds all it needs: no script, no font, no request. Rule: every text is escaped.

`render` takes what `GET /api/v1/analytics/performance` answers, so a back-test and a live account read alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Any

from patriot.domain.statistics.summary import STATISTICS
from patriot.domain.statistics.tables import histogram
from patriot.report import charts
from patriot.report.figures import SHORT, cell, money, percent, tone

HEADLINES = (
    "total_return", "net_profit", "sharpe_ratio", "sortino_ratio", "max_drawdown", "win_rate", "profit_factor",
    "total_trades",
)  # fmt: skip
GROUP_TITLES = {
    "returns": "Returns", "drawdowns": "Drawdowns", "profits": "Profits", "trades": "Trades", "durations": "Durations",
    "excursions": "Excursions", "benchmark": "Benchmark",
}  # fmt: skip
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TRIPS_SHOWN = 50

View = Mapping[str, Any]


def render(view: View, title: str, subtitle: str = "") -> str:
    """The page of a `PerformanceView`."""
    style = files("patriot.report").joinpath("page.css").read_text(encoding="utf-8")
    sections = (
        _headlines(view),
        _section(
            "Equity", _equity(view), f"{view['currency']}, one point every {SHORT['seconds'](view['curve']['seconds'])}"
        ),
        _section("Drawdown", _drawdown(view), "distance to the highest point so far"),
        _section("Monthly returns", _months(view)),
        _pair(_section("Trades by profit", _spread(view)), _section("Return by hour, UTC", _hours(view))),
        *(_section(f"By {group['by']}", _group_table(group)) for group in _told(view["groups"])),
        _section("Deepest drawdowns", _drawdown_table(view)),
        _section("Statistics", _statistics(view), _caution(view)),
        _section("Latest trades", _trips(view), f"{min(len(view['trips']), TRIPS_SHOWN)} of {len(view['profits'])}"),
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body><main>"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p><p>{_period(view)}</p></header>"
        f"{''.join(sections)}<footer>patriot</footer></main></body></html>"
    )


def _period(view: View) -> str:
    since, until = (datetime.fromisoformat(view[name]) for name in ("since", "until"))
    against = f" against {escape(view['benchmark'])}" if view["benchmark"] else ""
    unpriced = f" {view['unpriced']} trades left out: no price for what they earn." if view["unpriced"] else ""
    return f"{since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC{against}.{unpriced}"


def _caution(view: View) -> str:
    days = view["curve"]["seconds"] * len(view["curve"]["times"]) / 86_400
    short = "; of less than a month, so annual figures say little" if days < 30 else ""
    return f"hover over a name for its formula and source{short}"


def _headlines(view: View) -> str:
    figures = {one["name"]: one for one in view["figures"]}
    cards = (
        f'<div class="card"><span>{escape(figures[name]["title"])}</span>'
        f'<b class="{tone(figures[name])}">{cell(figures[name])}</b></div>'
        for name in HEADLINES
    )
    return f'<div class="cards">{"".join(cards)}</div>'


def _equity(view: View) -> str:
    curve = view["curve"]
    lines = [("equity", curve["equity"])]
    if curve["benchmark"]:
        scale = curve["equity"][0] / curve["benchmark"][0]
        lines.append(("benchmark", [price * scale for price in curve["benchmark"]]))
    return charts.curve(_times(curve), lines, money)


def _drawdown(view: View) -> str:
    curve = view["curve"]
    return charts.curve(_times(curve), [("loss", curve["drawdown"])], percent, height=160, filled_to=0.0)


def _times(curve: View) -> list[float]:
    return [datetime.fromisoformat(time).timestamp() for time in curve["times"]]


def _months(view: View) -> str:
    gains = {(one["year"], one["month"]): one["gain"] for one in view["months"]}
    largest = max((abs(gain) for gain in gains.values()), default=0.0) or 1.0
    rows = []
    for year in sorted({year for year, _ in gains}):
        cells, total = [], 1.0
        for month in range(1, 13):
            gain = gains.get((year, month))
            total *= 1.0 + (gain or 0.0)
            cells.append("<td></td>" if gain is None else _heat(gain, abs(gain) / largest))
        rows.append(f"<tr><th>{year}</th>{''.join(cells)}{_heat(total - 1.0, 0.0)}</tr>")
    head = "".join(f"<th>{month}</th>" for month in (*MONTHS, "Year"))
    return f'<table class="heat"><tr><th></th>{head}</tr>{"".join(rows)}</table>'


def _heat(gain: float, strength: float) -> str:
    name = "gain" if gain >= 0 else "loss"
    return f'<td class="heat-{name}" style="--heat:{strength:.2f}">{percent(gain)}</td>'


def _spread(view: View) -> str:
    return charts.histogram(histogram(view["profits"]), money)


def _hours(view: View) -> str:
    hours = {int(hour): gain for hour, gain in view["hours"].items()}
    return charts.columns([(f"{hour:02}", hours[hour]) for hour in sorted(hours)], percent)


def _told(groups: Sequence[View]) -> list[View]:
    """Groups that divide anything; the hours have a chart of their own."""
    return [group for group in groups if group["groups"] and (len(group["groups"]) > 1 or group["by"] == "symbol")]


def _group_table(group: View) -> str:
    rows = (
        (
            escape(one["key"]), f"{one['trips']:,}", percent(one["wins"] / one["trips"]),
            _money(one["profit"]), money(float(one["fees"])), _money(one["best"]), _money(one["worst"]),
        )
        for one in group["groups"]
    )  # fmt: skip
    return _table((group["by"], "trades", "won", "profit", "fees", "best", "worst"), rows)


def _drawdown_table(view: View) -> str:
    rows = (
        (percent(one["depth"]), *(escape((one[name] or "still open")[:19]) for name in ("start", "trough", "end")))
        for one in view["drawdowns"]
    )
    return _table(("depth", "from", "lowest", "until"), rows)


def _statistics(view: View) -> str:
    parts = []
    for group, title in GROUP_TITLES.items():
        figures = [one for one in view["figures"] if one["group"] == group]
        if any(one["value"] is not None for one in figures):
            rows = "".join(_figure(one) for one in figures)
            parts.append(f"<div><h3>{title}</h3><table>{rows}</table></div>")
    return f'<div class="statistics">{"".join(parts)}</div>'


def _figure(one: View) -> str:
    text = STATISTICS[one["name"]].text if one["name"] in STATISTICS else ""
    return f'<tr><td title="{escape(text)}">{escape(one["title"])}</td><td class="{tone(one)}">{cell(one)}</td></tr>'


def _trips(view: View) -> str:
    rows = (
        (
            escape(one["closed_at"][:19].replace("T", " ")), escape(one["instrument"]), escape(one["strategy"]),
            "long" if one["side"] == "buy" else "short", escape(one["quantity"]), escape(one["entry_price"]),
            escape(one["exit_price"]), _money(one["profit"]), money(float(one["fees"])),
        )
        for one in view["trips"][:TRIPS_SHOWN]
    )  # fmt: skip
    return _table(
        ("closed, UTC", "instrument", "strategy", "side", "quantity", "in at", "out at", "profit", "fees"), rows
    )


def _money(text: str) -> str:
    value = float(text)
    return f'<span class="{"up" if value > 0 else "down" if value < 0 else ""}">{money(value)}</span>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{text}</td>' for text in row)}</tr>" for row in rows)
    if not body:
        return '<p class="nothing">none</p>'
    return (
        f'<div class="wide"><table><tr>{"".join(f"<th>{escape(name)}</th>" for name in head)}</tr>{body}</table></div>'
    )


def _section(title: str, body: str, note: str = "") -> str:
    return f"<section><h2>{escape(title)}<small>{escape(note)}</small></h2>{body}</section>"


def _pair(left: str, right: str) -> str:
    return f'<div class="pair">{left}{right}</div>'
