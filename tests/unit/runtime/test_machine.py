"""What one machine tells Prometheus of its processes."""

import pytest

from patriot.runtime.dapr.machine import Unit, scrape_targets
from patriot.runtime.settings import Settings


@pytest.mark.requirement("P16")
def test_every_process_is_a_target_with_a_clusters_labels():
    units = [Unit(("auth",), 7001), Unit(("market-data", "strategies"), 7002)]
    told = scrape_targets(units, Settings(metrics_port=9464))
    assert [one["targets"] for one in told] == [["127.0.0.1:7001"], ["127.0.0.1:7002"], ["127.0.0.1:9464"]]
    assert [one["labels"]["pod"] for one in told] == ["auth", "market-data", "gateway"]
    assert {one["labels"]["app_kubernetes_io_part_of"] for one in told} == {"patriot"}
    assert len(scrape_targets(units, Settings())) == 2
