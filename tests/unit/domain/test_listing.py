"""Well-known instruments are representable in their own scales."""

import pytest

from patriot.domain.listing import instruments, well_known


@pytest.mark.parametrize("venue", ["BINANCE", "BYBIT"])
def test_listing_steps_fit_their_scales(venue):
    for one in instruments(venue):
        assert one.price_units(one.tick_size) > 0
        assert one.quantity_units(one.lot_size) > 0
        assert one.quantity_units(one.minimum_quantity) > 0
        assert one.venue == venue


def test_listing_has_spot_and_perpetual():
    assert {one.kind for one in instruments("BINANCE")} == {"spot", "linear"}


def test_listing_of_an_unknown_venue_is_empty():
    assert well_known("KRAKEN") == []
