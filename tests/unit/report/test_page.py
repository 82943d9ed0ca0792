"""A report is one page that needs nothing else, whatever it is told."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from patriot.domain.statistics.record import NOTHING, Record
from patriot.domain.statistics.summary import STATISTICS, summary
from patriot.report import charts, figures
from patriot.report.page import render

TIMES = [f"2026-03-01T00:0{minute}:00Z" for minute in range(5)]


def view(**changes):
    told = summary(Record(NOTHING, NOTHING, 60.0)) | changes.pop("values", {})
    return {
        "since": TIMES[0],
        "until": TIMES[-1],
        "currency": "USDT",
        "benchmark": None,
        "figures": [
            {"name": name, "title": one.title, "group": one.group, "unit": one.unit, "value": told[name]}
            for name, one in STATISTICS.items()
        ],
        "curve": {"seconds": 60.0, "times": [], "equity": [], "index": [], "drawdown": [], "benchmark": []},
        "months": [],
        "hours": {},
        "drawdowns": [],
        "groups": [],
        "trips": [],
        "profits": [],
        "unpriced": 0,
        **changes,
    }


def full():
    trip = {
        "account_id": "a", "instrument": "BINANCE:BTC/USDT:USDT", "strategy": "<script>alert(1)</script>",
        "side": "buy",
        "quantity": "1", "entry_price": "100", "exit_price": "110", "profit": "9.8", "fees": "0.2", "adverse": "-4",
        "favourable": "16", "opened_at": TIMES[0], "closed_at": TIMES[1],
    }  # fmt: skip
    group = {
        "key": "grid & co",
        "trips": 2,
        "wins": 1,
        "profit": "-0.4",
        "fees": "0.4",
        "best": "9.8",
        "worst": "-10.2",
    }
    return view(
        benchmark="BINANCE:BTC/USDT:USDT",
        curve={
            "seconds": 60.0,
            "times": TIMES,
            "equity": [1000, 990, 990, 1010, 1020],
            "index": [1, 0.99, 0.99, 1.01, 1.02],
            "drawdown": [0, -0.01, -0.01, 0, 0],
            "benchmark": [100, 100, 101, 102, 103],
        },
        months=[{"year": 2025, "month": 12, "gain": -0.1}, {"year": 2026, "month": 3, "gain": 0.02}],
        hours={"0": 0.02, "1": -0.01},
        drawdowns=[{"start": TIMES[0], "trough": TIMES[1], "end": None, "depth": -0.01}],
        groups=[{"by": "symbol", "currency": "USDT", "groups": [group]}],
        trips=[trip],
        profits=[9.8, -10.2],
        values={"total_return": 0.02, "net_profit": -0.4},
    )


class Checker(HTMLParser):
    """Every tag is closed, in order."""

    VOID = frozenset({"meta"})

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.requirement("T7")
@pytest.mark.parametrize("told", [view(), full()], ids=["nothing", "everything"])
def test_page_is_whole_and_asks_for_nothing(told):
    page = render(told, "Ada's <fund>")
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert not re.search(r"https?:|src=|@import|url\(", page)
    assert "<script" not in page
    assert "Ada&#x27;s &lt;fund&gt;" in page
    for picture in re.findall(r"<svg.*?</svg>", page):
        ET.fromstring(picture)  # noqa: S314 - our own


def test_page_shows_what_it_was_told():
    page = render(full(), "title")
    for text in ("−10.00%", "2.00%", "&lt;script&gt;", "grid &amp; co", "still open", "Sharpe ratio", "−0.40"):
        assert text in page, text
    assert page.count("<svg") == 4


def test_untold_figure_is_a_dash():
    assert figures.cell({"name": "sharpe_ratio", "unit": "ratio", "value": None}) == "–"


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("money", -1234.5, "−1,234.50"),
        ("money", 0.00012, "0.00012"),
        ("percent", 0.0213, "2.13%"),
        ("percent", -0.00002, "−0.0020%"),
        ("ratio", 1.005, "1.00"),
        ("count", 12.0, "12"),
        ("seconds", 93_784.0, "1 d 2 h"),
        ("seconds", 0.0, "0 s"),
        ("seconds", 61.5, "1 min 1.5 s"),
    ],
)
def test_figures_read_well(unit, value, text):
    assert figures.SHORT[unit](value) == text


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.013, 0.002), (99_990.0, 100_020.0), (5.0, 5.0), (0.0, 0.0)])
def test_ticks_are_few_and_enclose(low, high):
    ticks = charts.nice_ticks(low, high)
    assert ticks[0] <= low + 1e-9
    assert ticks[-1] >= high - 1e-9
    assert 2 <= len(ticks) <= 8


def test_long_curve_keeps_its_extremes():
    values = [0.0] * 50_000
    values[31_234], values[40_001] = 9.0, -9.0
    picture = charts.curve([float(time) for time in range(50_000)], [("equity", values)], figures.ratio)
    points = re.search(r'<polyline class="equity" points="([^"]*)"', picture).group(1).split()
    heights = [float(point.partition(",")[2]) for point in points]
    assert len(points) < 5_000
    assert len(set(heights)) >= 3
