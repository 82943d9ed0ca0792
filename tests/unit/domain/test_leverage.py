"""Who may trade what with which leverage, and what is bound by it over the life of a position."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.account import Account, account_view, fold_account
from patriot.domain.errors import InvalidTransition, InvalidValue
from patriot.domain.leverage import choose_leverage, is_above, leverage_of
from patriot.domain.money import ZERO
from patriot.domain.position import Position, apply_fill, fold
from schemas.events import OrderFilled
from tests.unit.domain.examples import instrument

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDS = {"account_id": UUID(int=1), "user_id": UUID(int=2)}
LINEAR = instrument("linear", maximum_leverage=20)


def account(**changes: Any) -> Account:
    return Account(**{**IDS, "exchange": LINEAR.venue, "mode": "paper", "label": "main", **changes})


@pytest.mark.requirement("P11")
def test_chosen_leverage_is_kept_by_instrument_and_shown():
    (event,) = choose_leverage(account(), LINEAR, 5, None)
    chosen = fold_account(account(), event, 2, NOW)
    assert account_view(chosen).leverages == {LINEAR.id: 5}
    assert choose_leverage(chosen, LINEAR, 5, None) == []
    assert leverage_of(chosen.leverages, LINEAR, 1) == 5


@pytest.mark.requirement("P11")
@pytest.mark.parametrize(
    ("changes", "asked", "limit", "field", "rule"),
    [
        ({}, (instrument("spot"), 5), None, "instrument", "is spot: only linear perpetuals"),
        ({}, (instrument("inverse"), 5), None, "instrument", "is inverse"),
        ({"exchange": "BYBIT"}, (LINEAR, 5), None, "instrument", "the account is at BYBIT"),
        ({}, (LINEAR, 21), None, "leverage", "allows at most 20"),
        ({}, (LINEAR, 5), Decimal(3), "leverage", "the risk limits above this account allow at most 3"),
    ],
)
def test_what_cannot_be_had_names_the_field_and_the_rule(changes, asked, limit, field, rule):
    with pytest.raises(InvalidValue, match=rule) as refusal:
        choose_leverage(account(**changes), *asked, limit)
    assert refusal.value.field == field


def test_deactivated_account_chooses_nothing():
    with pytest.raises(InvalidTransition, match="deactivated"):
        choose_leverage(account(active=False), LINEAR, 5, None)


@pytest.mark.parametrize(
    ("leverage", "limit", "above"), [(3, "3", False), (4, "3", True), (1, "0.5", False), (2, "0.5", True)]
)
def test_once_breaks_no_limit(leverage: int, limit: str, *, above: bool):
    assert is_above(leverage, Decimal(limit)) == above


@pytest.mark.parametrize(
    ("kind", "chosen", "default", "found"),
    [
        ("linear", None, 1, None),
        ("linear", {}, 10, 10),
        ("linear", {}, 100, 20),
        ("linear", {LINEAR.id: 1}, 10, 1),
        ("spot", {instrument("spot").id: 5}, 10, None),
    ],
)
def test_nothing_chosen_is_the_installations_default_and_1_is_no_choice(kind, chosen, default, found):
    assert leverage_of(chosen, instrument(kind, maximum_leverage=20), default) == found


fills = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell"]),
        st.decimals("0.001", "20", places=3),
        st.decimals("0.01", "99999", places=2),
        st.integers(1, 125),
    ),
    min_size=1,
    max_size=15,
)


@given(trades=fills)
@pytest.mark.requirement("P11")
def test_margin_is_the_entry_value_over_the_leverage_at_all_times_and_comes_back_exactly(trades: list[Any]):
    position, bound, opened_with = Position(IDS["account_id"], LINEAR.id), ZERO, 1
    for side, quantity, price, leverage in trades:
        if not position.quantity:
            opened_with = leverage
        event = apply_fill(position, _fill(quantity, price), side=side, instrument=LINEAR, leverage=leverage)
        position = fold(position, event, position.version + 1, NOW)
        bound += sum(hold.margin for hold in event.holds)
        assert bound == position.margin
        assert 0 <= position.margin * opened_with - abs(position.entry_value) < Decimal("1E-15")
    if position.quantity:
        closing = _fill(abs(position.quantity), Decimal(100)), "sell" if position.quantity > 0 else "buy"
        event = apply_fill(position, closing[0], side=closing[1], instrument=LINEAR, leverage=3)
        bound += sum(hold.margin for hold in event.holds)
    assert bound == 0


def _fill(quantity: Decimal, price: Decimal) -> OrderFilled:
    told = {"price": price, "quantity": quantity, "filled_quantity": quantity, "fee": ZERO, "fee_asset": "USDT"}
    return OrderFilled(**IDS, order_id=UUID(int=3), trade_id="t", liquidity="taker", **told)
