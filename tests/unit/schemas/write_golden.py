"""Write the golden file of every current event version that has none: `python -m tests.unit.schemas.write_golden`.

Existing files are never touched: they are what was once stored.
"""

from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import schemas.topics  # noqa: F401 - knows every event, whichever file it is in
from schemas.events import EVENTS, Event

GOLDEN = Path(__file__).parent / "golden"
VALUES = {
    "UUID": "0190a6f2-3c4d-7e8f-9a0b-1c2d3e4f5a6b",
    "Decimal": "1234.500000000000000001",
    "AwareDatetime": "2024-08-08T12:00:00.123456Z",
    "str": "text",
    "int": 3,
    "bool": True,
}
SPECIAL = {
    "instrument": "BINANCE:BTC/USDT:USDT",
    "base_currency": "EUR",
    "limits": {"maximum_order_notional": "5000.5", "sessions": ["mon-fri 08:00-22:00"]},
    "postings": [
        {"ledger": "cash", "asset": "USDT", "amount": "-5.25"},
        {"ledger": "position", "asset": "USDT", "amount": "5.25"},
    ],
    "holds": [{"asset": "USDT", "reserved": "-10.5", "margin": "2"}],
    "trailing": {"rule": "percent", "distance": "1.5", "activation_price": "60000"},
    "parameters": {"slices": 10},
    "emulated": ["trigger"],
    "instruments": ["BINANCE:BTC/USDT:USDT"],
    "link": {
        "list_id": "0190a6f2-3c4d-7e8f-9a0b-1c2d3e4f5a6b",
        "kind": "bracket",
        "number": 1,
        "size": 3,
        "parent_id": "0190a6f2-3c4d-7e8f-9a0b-1c2d3e4f5a6c",
    },
}


def golden_path(event: type[Event], version: int) -> Path:
    return GOLDEN / f"{event.TYPE}.v{version}.json"


def example_of(event: type[Event]) -> Event:
    """An event with something in every field."""
    fields = {name: SPECIAL.get(name) or _value(field.annotation) for name, field in event.model_fields.items()}
    return event.model_validate(fields)


def _value(annotation: Any) -> Any:
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    if isinstance(annotation, UnionType) or get_args(annotation):
        return _value(get_args(annotation)[0])
    return VALUES[annotation.__name__]


def write_missing() -> list[Path]:
    paths = [golden_path(event, event.SCHEMA) for event in EVENTS.values()]
    missing = [path for path in paths if not path.exists()]
    for path in missing:
        example = example_of(EVENTS[path.name.rpartition(".v")[0]])
        path.write_text(example.model_dump_json() + "\n")
    return missing


if __name__ == "__main__":
    print(*write_missing(), sep="\n")
