from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from feeds.market_data import encode
from feeds.market_data.hub import BookImage, Price
from feeds.market_data.market import Top
from patriot.protocols.market import Bar, Trade
from schemas.reports import BarsReport, BookReport, PriceReport, TradesReport
from tests.unit.market_data.world import BTC

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)


@given(st.integers(0, 10**20), st.integers(0, 18))
def test_decimal_text_is_exact_and_plain(units, decimals):
    text = encode.decimal_text(units, decimals)
    assert Decimal(text) == Decimal(units).scaleb(-decimals)
    assert "E" not in text
    assert not (decimals and text.endswith("0") and "." in text)


def test_trades_fit_their_contract():
    trades = [Trade(BTC.id, 6_000_050, 1500, one, str(one), NOON_MS) for one in (True, False)]
    report = TradesReport.model_validate_json(encode.encode_trades(BTC, trades))
    assert [(one.side, one.price, one.quantity, one.time) for one in report.trades] == [
        ("sell", Decimal("60000.5"), Decimal("1.5"), NOON),
        ("buy", Decimal("60000.5"), Decimal("1.5"), NOON),
    ]


def test_bars_fit_their_contract():
    bar = Bar(BTC.id, 60, NOON_MS, 100, 300, 50, 200, 7, 3, closed=True)
    found = BarsReport.model_validate_json(encode.encode_bars(BTC, [bar])).bars[0]
    assert (found.open, found.high, found.low, found.close) == tuple(map(Decimal, ("1", "3", "0.5", "2")))
    assert (found.volume, found.trades, found.time, found.seconds) == (Decimal("0.007"), 3, NOON, 60)
    assert encode.bar_row(BTC, bar).values["interval"] == "1m"


def test_book_fits_its_contract():
    image = BookImage(BTC, [(100, 1)], [(101, 2)], 7, NOON, in_sync=True, stale=False)
    found = BookReport.model_validate_json(encode.encode_book(image))
    assert found.bids == ((Decimal(1), Decimal("0.001")),)
    assert found.asks == ((Decimal("1.01"), Decimal("0.002")),)


def test_price_fits_its_contract():
    told = encode.encode_price(Price(BTC, Top(100, 101), 100, 0, NOON, stale=True))
    assert PriceReport.model_validate_json(told) == PriceReport(
        instrument=BTC.id, bid=Decimal(1), ask=Decimal("1.01"), last=Decimal(1), mark=None, as_of=NOON, stale=True
    )
    marked = encode.encode_price(Price(BTC, Top(0, 101), 100, 99, NOON, stale=False))
    assert PriceReport.model_validate_json(marked).mark == Decimal("0.99")


def test_tick_row_names_the_aggressor():
    row = encode.tick_row(BTC, Trade(BTC.id, 100, 1, True, "5", NOON_MS))
    assert row.values["side"] == "sell"
    assert row.values["time"] == NOON
