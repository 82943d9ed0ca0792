"""The live screen: whatever the terminal's size and whatever there is to show, it fits."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.cli.layout import lines
from patriot.cli.view import MarketLine, Picture
from schemas.reports import PriceReport
from tests.unit.cli.world import PERPETUAL, order, portfolio, trade

NOW = datetime(2026, 11, 21, 5, 40, tzinfo=UTC)


def market(instrument: str = PERPETUAL, direction: int = 1, age: float = 0.1, **fields: Any) -> MarketLine:
    report = PriceReport(
        instrument=instrument,
        bid=Decimal("60012.4"),
        ask=Decimal("60016.8"),
        last=Decimal(60013),
        as_of=NOW - timedelta(seconds=age),
    )
    line = MarketLine(instrument, 1, report, Decimal(60000), direction, **fields)
    line.history.extend(Decimal(value) for value in (1, 2, 3))
    return line


def picture(**fields: Any) -> Picture:
    given_fields = {
        "url": "http://127.0.0.1:8000",
        "source": "synthetic",
        "now": NOW,
        "up_seconds": 151.0,
        "markets": [market()],
        "portfolio": portfolio(),
        "equity_start": Decimal(160000),
        "equities": [Decimal(1), Decimal(2)],
        "open_orders": [order()],
        "trades": [trade()],
        "outbox_depth": 0,
        "reconnects": 0,
        "dead_letters": 0,
        "ticks_per_second": 1579.4,
        "staleness_seconds": 60.0,
    }
    return Picture(**(given_fields | fields))


def text(width: int = 80, height: int = 24, **fields: Any) -> str:
    return "\n".join(line.plain for line in lines(picture(**fields), width, height))


def test_screen_shows_what_a_trader_watches() -> None:
    shown = text()
    assert "equity 159,834.78 USDT  -165.22 (-0.10%)  open +1.65  ▁█" in shown
    assert f"▲ {PERPETUAL}    60,012.4    60,016.8   +0.02%  ▁▅█" in shown
    assert f"  {PERPETUAL}   -0.016 at 59,942.1235 open    +1.65 realised    -1.57" in shown
    assert "0/0.01 at 59,000      accepted  6c55564e" in shown
    assert "buy  0.01 at 60,012.4  fee 0.30 USDT" in shown
    assert shown.splitlines()[-1].startswith("● outbox 0  1 price, 0.1 s old  1,579 ticks/s")
    assert "USDT 99,995.43 (99,036.35 free)" in shown


@given(
    width=st.integers(1, 200), height=st.integers(1, 60), markets=st.integers(0, 40), orders=st.integers(0, 40),
    trades=st.integers(0, 60),
)  # fmt: skip
def test_screen_fits_any_terminal(width: int, height: int, markets: int, orders: int, trades: int) -> None:
    made = lines(
        picture(markets=[market()] * markets, open_orders=[order()] * orders, trades=[trade()] * trades), width, height
    )
    assert len(made) == height
    assert max(line.cell_len for line in made) <= width


def test_full_screen_gives_each_section_its_share() -> None:
    shown = text(markets=[market()] * 30, open_orders=[order()] * 30, trades=[trade()] * 30).splitlines()
    assert sum(" ▁▅█" in line for line in shown) > 2
    assert sum("accepted" in line for line in shown) == 2
    assert sum("fee 0.30" in line for line in shown) == 2
    assert sum(" more" in line for line in shown) == 3


def test_80_by_24_cuts_nothing_off() -> None:
    for line in lines(picture(), 80, 24):
        assert line.cell_len <= 80
        assert "…" not in line.plain


def test_stale_prices_lost_messages_and_reconnects_stand_out() -> None:
    shown = text(markets=[market(age=75)], reconnects=3, dead_letters=2, outbox_depth=500)
    assert "stale for 1:15" in shown
    assert "● 2 dead letters  1 stale  3 reconnects  outbox 500  1 price" in shown


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"portfolio": None, "open_orders": [], "trades": []}, "nobody is logged in"),
        ({"portfolio": portfolio(equity=None)}, "waiting for prices"),
        ({"markets": []}, "no price yet"),
        ({"markets": [], "source": "live"}, "without --live"),
        ({"portfolio": portfolio(positions=[])}, "positions               none"),
        ({"trades": []}, "none yet"),
        ({"open_orders": [order(price=None, status="partially_filled")]}, "at market      partially filled"),
    ],
)
def test_screen_says_what_is_missing(fields: dict[str, Any], said: str) -> None:
    assert said in text(**fields)


def test_a_live_start_is_given_some_time() -> None:
    assert "without --live" not in text(markets=[], source="live", up_seconds=3)


@pytest.mark.parametrize(("direction", "arrow"), [(1, "▲"), (-1, "▼"), (0, " ")])
def test_arrow_tells_the_last_move(direction: int, arrow: str) -> None:
    assert f"{arrow} {PERPETUAL}" in text(markets=[market(direction=direction)])
