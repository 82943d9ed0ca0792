"""Shards: every key has exactly one, and the same in every process."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from patriot.runtime.settings import Settings
from patriot.runtime.sharding import Shard

SYMBOLS = [f"BINANCE:COIN{number}/USDT" for number in range(1000)]


@given(st.text(), st.integers(1, 64))
def test_key_has_exactly_one_shard(key: str, shards: int):
    assert [one for one in (Shard(number, shards) for number in range(shards)) if one.has(key)] == [
        Shard(0, shards).holder(key)
    ]


def test_shards_are_of_about_one_size():
    sizes = [sum(map(Shard(number, 4).has, SYMBOLS)) for number in range(4)]
    assert min(sizes) > 200


def test_shard_is_the_same_in_another_process():
    code = "from patriot.runtime.sharding import Shard; print([n for n in range(4) if Shard(n, 4).has('BTC')])"
    told = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert told == {f"{[number for number in range(4) if Shard(number, 4).has('BTC')]}\n"}


@pytest.mark.parametrize("text", ["4/4", "-1/4", "0/0", "1", "a/b", ""])
def test_what_is_no_shard_is_refused(text: str):
    with pytest.raises(ValidationError):
        Settings(shard=text)
