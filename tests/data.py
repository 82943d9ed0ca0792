"""Where the recorded market data lies. Tests that need a recording skip, with the reason, where it is absent."""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("PATRIOT_DATA", Path(__file__).parents[2] / "shared" / "data"))


def recording(relative: str) -> Path:
    """Path of a recording, for example `recording("hftbacktest/usdm_btcusdt_20240808.gz")`."""
    path = ROOT / relative
    if not path.exists():
        pytest.skip(f"recorded data absent: {path} (set PATRIOT_DATA to the folder that holds it)")
    return path
