"""Fills that are told in another order than they were made in: the books become those of the venue all the same."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.ledger import check
from patriot.domain.money import exact, rounded
from patriot.domain.position import RECENT, Position, Standing, apply_bust, apply_fill, fold
from schemas.events import OrderPartiallyFilled, PositionUpdated
from tests.unit.domain.examples import ACCOUNT, NOW, ORDER, USER, instrument

Fill = tuple[int, str, str, str, str]  # number, side, quantity, price, fee

KINDS = ["spot", "linear", "inverse"]
FILLS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell"]),
        st.decimals("0.001", "20", places=3).map(str),
        st.decimals("0.01", "99999", places=2).map(str),
        st.sampled_from(["0", "0.0001", "-0.00002"]),
    ),
    min_size=2,
    max_size=12,
).map(lambda fills: [(number, *one) for number, one in enumerate(fills)])


def fill(one: Fill, *, timed: bool = True) -> OrderPartiallyFilled:
    number, _, quantity, price, fee = one
    return OrderPartiallyFilled.model_validate(
        {
            "order_id": ORDER,
            "account_id": ACCOUNT,
            "user_id": USER,
            "trade_id": str(number),
            "quantity": quantity,
            "price": price,
            "fee": fee,
            "fee_asset": "BTC",
            "liquidity": "taker",
            "venue_time": NOW + timedelta(seconds=number // 3) if timed else None,  # three in one moment
            "filled_quantity": quantity,
        }
    )


def booked(kind: str, fills: list[Fill], *, timed: bool = True) -> tuple[Position, list[PositionUpdated]]:
    traded: Any = instrument(kind)  # type: ignore[arg-type]
    position, events = Position(ACCOUNT, traded.id), list[PositionUpdated]()
    for one in fills:
        side: Any = one[1]
        events.append(apply_fill(position, fill(one, timed=timed), side=side, instrument=traded, leverage=7))
        position = fold(position, events[-1], position.version + 1, NOW)
    return position, events


def figures(position: Position) -> tuple[Any, ...]:
    return position.standing, position.average_price, position.margin, dict(position.fees)


@pytest.mark.requirement("B3", "P8")
@given(kind=st.sampled_from(KINDS), fills=FILLS, data=st.data())
def test_whatever_order_they_are_told_in_the_position_is_the_same(kind, fills, data):
    told = data.draw(st.permutations(fills))
    late, events = booked(kind, told)
    in_order, _ = booked(kind, fills)
    assert figures(late) == figures(in_order)
    assert [one.trade_id for one in late.recent] == [str(number) for number, *_ in fills]
    for event in events:
        check(event.postings)


@given(fills=FILLS, data=st.data())
@exact
def test_ledgers_mirror_the_position_after_late_fills(fills, data):
    position, events = booked("spot", data.draw(st.permutations(fills)))
    posted = [one for event in events for one in event.postings if (one.ledger, one.asset) == ("position", "USDT")]
    realised = [one for event in events for one in event.postings if one.ledger == "realised"]
    assert sum((one.amount for one in posted), Decimal(0)) == position.entry_value
    assert -sum((one.amount for one in realised), Decimal(0)) == position.realised_pnl


def test_late_fill_corrects_the_profit_of_those_after_it():
    short_100, short_90, cover = (0, "sell", "1", "100", "0"), (3, "sell", "1", "90", "0"), (6, "buy", "1", "80", "0")
    _, events = booked("linear", [short_100, cover, short_90])
    # told late: the cover earned 20 against 100; with the other sale before it the average was 95: 15
    assert [event.realised_pnl for event in events] == [0, 20, -5]
    assert (events[-1].quantity, events[-1].average_price) == (-1, 95)


def test_fill_without_a_time_is_the_newest():
    fills: list[Fill] = [(6, "buy", "1", "80", "0"), (0, "sell", "1", "100", "0")]
    position, _ = booked("linear", fills, timed=False)
    assert [one.trade_id for one in position.recent] == ["6", "0"]


def test_fill_older_than_all_that_are_kept_is_booked_as_it_comes():
    fills: list[Fill] = [(number, "buy", "1", "100", "0") for number in range(1, RECENT + 10)]
    position, events = booked("linear", [*fills, (0, "sell", "1", "130", "0")])
    assert len(position.recent) <= RECENT
    assert (events[-1].realised_pnl, position.recent[-1].trade_id) == (30, "0")


def test_late_fills_among_many_need_only_what_is_kept():
    fills: list[Fill] = [
        (number, "sell" if number % 3 else "buy", "1", str(100 + number), "0") for number in range(200)
    ]
    told = [*fills[:150], *fills[160:], *reversed(fills[150:160])]
    late, _ = booked("linear", told)
    in_order, _ = booked("linear", fills)
    assert figures(late) == figures(in_order)


def test_who_trades_with_himself_is_booked_as_maker_first():
    opening, taker = fill((0, "buy", "4", "105", "0")), fill((9, "buy", "2", "100", "0"))
    maker = taker.model_copy(update={"liquidity": "maker"})
    traded, told = instrument("linear"), [("buy", opening), ("buy", taker), ("sell", maker)]
    position = Position(ACCOUNT, traded.id)
    for side, one in told:
        position = fold(position, apply_fill(position, one, side=side, instrument=traded), position.version + 1, NOW)
    assert position.standing == (Decimal(4), Decimal(410), Decimal(-10))


def without(position: Position, one: Fill, kind: str) -> tuple[Position, PositionUpdated]:
    traded, side = instrument(kind), one[1]
    event = apply_bust(position, fill(one), side=side, instrument=traded, leverage=7)  # type: ignore[arg-type]
    return fold(position, event, position.version + 1, NOW), event


@pytest.mark.requirement("B3", "P2")
@given(kind=st.sampled_from(KINDS), fills=FILLS, data=st.data())
def test_trade_that_is_taken_back_has_never_been(kind, fills, data):
    position, _ = booked(kind, data.draw(st.permutations(fills)))
    gone = data.draw(st.sampled_from(fills))
    left, event = without(position, gone, kind)
    never, _ = booked(kind, [one for one in fills if one is not gone])
    assert (left.standing, left.average_price, left.margin) == (never.standing, never.average_price, never.margin)
    assert sum(left.fees.values()) == sum(never.fees.values())
    check(event.postings)
    # and what comes after is booked on what is left
    more: Fill = (99, "sell", "3", "50", "0")
    both = [
        fold(one, apply_fill(one, fill(more), side="sell", instrument=instrument(kind)), one.version + 1, NOW)
        for one in (left, never)
    ]
    assert both[0].standing == both[1].standing


@given(fills=FILLS, data=st.data())
@exact
def test_ledgers_of_a_trade_that_is_taken_back_sum_to_nothing(fills, data):
    gone = data.draw(st.sampled_from(fills))
    position, events = booked("spot", fills)
    _, event = without(position, gone, "spot")
    _, never = booked("spot", [one for one in fills if one is not gone])
    assert sums([*events, event]) == sums(never)


def sums(events: list[PositionUpdated]) -> dict[tuple[str, str], Decimal]:
    found: dict[tuple[str, str], Decimal] = {}
    for posting in (posting for event in events for posting in event.postings):
        key = (posting.ledger, posting.asset)
        found[key] = found.get(key, Decimal(0)) + posting.amount
    return {key: amount for key, amount in found.items() if amount}


def test_trade_older_than_all_that_are_kept_is_closed_out_when_it_is_taken_back():
    fills: list[Fill] = [(number, "buy", "1", "100", "0") for number in range(RECENT + 10)]
    position, _ = booked("linear", fills)
    left, event = without(position, fills[0], "linear")
    assert (left.quantity, event.realised_pnl, event.busts) == (RECENT + 9, 0, "0")


FOUR: list[Fill] = [
    (0, "buy", "2", "100", "0"),
    (3, "buy", "1", "110", "0"),
    (6, "sell", "1", "120", "0"),
    (9, "buy", "1", "130", "0"),
]


@pytest.mark.requirement("B3")
def test_trade_taken_back_leaves_the_others_and_how_they_stand_as_far_as_it_is_known():
    position, _ = booked("linear", FOUR)
    left, event = without(position, FOUR[1], "linear")
    assert (event.trade_id, event.busts, event.side, event.venue_time) == ("3 busted", "3", "sell", None)
    assert [one.trade_id for one in left.recent] == ["0", "6", "9"]
    assert [one.after for one in left.recent] == [Standing(Decimal(2), Decimal(200), Decimal(0)), None, left.standing]
    assert left.standing == (Decimal(2), Decimal(230), Decimal(20))


def test_first_trade_taken_back_leaves_nothing_known_but_the_newest():
    position, _ = booked("linear", FOUR)
    left, _ = without(position, FOUR[0], "linear")
    assert [(one.trade_id, one.after) for one in left.recent] == [("9", left.standing)]


def test_only_trade_taken_back_leaves_nothing():
    position, _ = booked("linear", FOUR[:1])
    left, _ = without(position, FOUR[0], "linear")
    assert (left.recent, left.standing) == ((), Standing())


def test_trade_that_is_not_known_is_closed_out_at_its_price_as_the_newest():
    position, _ = booked("linear", FOUR[:2])
    left, event = without(position, (77, "buy", "1", "104", "0"), "linear")
    assert (event.quantity, event.realised_pnl) == (2, Decimal("0.666666666666666667"))
    assert [one.trade_id for one in left.recent] == ["0", "3", "77 busted"]
    assert left.recent[-1].time == left.recent[-2].time
    assert left.recent[-1].after == left.standing


@pytest.mark.parametrize("place", [1, 5, RECENT - 1])
def test_trade_among_many_is_taken_back_as_if_it_had_never_been(place: int):
    fills: list[Fill] = [(number, "buy", "1", str(100 + number), "0") for number in range(0, 3 * RECENT, 3)]
    fills += [(number + 3 * RECENT, "buy", "1", "100", "0") for number in range(10)]
    position, _ = booked("linear", fills)
    kept = fills[-RECENT:]
    _, event = without(position, kept[place], "linear")
    worth = sum(Decimal(one[3]) for one in fills) - Decimal(kept[place][3])
    assert (event.quantity, event.entry_value, event.realised_pnl) == (RECENT + 9, worth, 0)


def test_oldest_trade_that_is_kept_is_closed_out_for_what_stood_before_it_is_forgotten():
    fills: list[Fill] = [(number, "buy", "1", str(100 + number), "0") for number in range(RECENT + 10)]
    position, _ = booked("linear", fills)
    _, event = without(position, fills[-RECENT], "linear")
    assert event.quantity == RECENT + 9
    assert event.realised_pnl == rounded(110 - Decimal(sum(range(100, 174))) / 74)


def test_as_many_fills_as_are_kept_are_all_kept():
    fills: list[Fill] = [(number, "buy", "1", "100", "0") for number in range(RECENT)]
    position, _ = booked("linear", [*fills[1:], fills[0]])
    assert [one.trade_id for one in position.recent] == [str(number) for number in range(RECENT)]
    assert [one.after is None for one in position.recent] == [True] * (RECENT - 1) + [False]


def test_fill_without_a_time_has_that_of_the_newest():
    traded = instrument("linear")
    position, _ = booked("linear", FOUR)
    event = apply_fill(position, fill((12, "buy", "1", "80", "0"), timed=False), side="buy", instrument=traded)
    after = fold(position, event, position.version + 1, NOW)
    assert [one.trade_id for one in after.recent] == ["0", "3", "6", "9", "12"]
    assert after.recent[-1].time == position.recent[-1].time > position.recent[-2].time


def test_fills_of_one_moment_that_are_not_numbered_stay_as_they_were_told():
    traded, position = instrument("linear"), Position(ACCOUNT, instrument("linear").id)
    for name in ("z", "a", "m"):
        one = fill((0, "buy", "1", "100", "0")).model_copy(update={"trade_id": name})
        position = fold(position, apply_fill(position, one, side="buy", instrument=traded), position.version + 1, NOW)
    assert [one.trade_id for one in position.recent] == ["z", "a", "m"]
