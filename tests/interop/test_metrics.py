"""The endpoint for Prometheus, read by the parser of Prometheus's own client library."""

import urllib.request

import redis
from prometheus_client.parser import text_string_to_metric_families

from conftest import free_port, running_server


def test_prometheus_can_read_every_figure(tmp_path):
    metrics_port = free_port()
    with running_server(tmp_path, "--metrics-port", str(metrics_port)) as port:
        r = redis.Redis(port=port)
        r.set("k", "v")
        r.lpush("l", *range(100))
        r.eval("return redis.call('get', KEYS[1])", 1, "k")
        for _ in range(5):
            r.get("k")
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=30) as page:
            assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            text = page.read().decode()
        families = list(text_string_to_metric_families(text))
        names = [family.name for family in families]
        assert len(names) == len(set(names)), "a name comes once"
        assert all(family.documentation and family.type in ("counter", "gauge", "summary")
                   for family in families)
        values = {(sample.name, *sample.labels.values()): sample.value
                  for family in families for sample in family.samples}
        info = r.info("everything")
        assert values["redis_up",] == 1
        assert values["redis_commands_total", "get"] == info["cmdstat_get"]["calls"] == 6
        assert values["redis_db_keys", "db0"] == info["db0"]["keys"] == 2
        assert values["redis_connected_clients",] == info["connected_clients"] == 1
        assert values["redis_max_clients",] == 10000
        assert 0 < values["redis_memory_used_bytes",] <= values["redis_memory_used_peak_bytes",]
        assert values["redis_keyspace_hits_total",] == info["keyspace_hits"]
        [labels] = [sample.labels for family in families for sample in family.samples
                    if sample.name == "redis_instance_info"]
        assert labels["run_id"] == info["run_id"]
        assert labels["redis_version"] == info["redis_version"]
