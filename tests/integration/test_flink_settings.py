"""Our list of Flink's settings is Flink's own.

`python -m tests.integration.test_flink_settings` prints Flink's, one a line.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from streamjobs.dialect.flink_settings import FLINK_NAMESPACES, FLINK_SETTINGS
from tests.patience import limit_s

CLASSES = (
    "org.apache.flink.configuration.CheckpointingOptions",
    "org.apache.flink.configuration.CoreOptions",
    "org.apache.flink.configuration.DeploymentOptions",
    "org.apache.flink.configuration.ExecutionOptions",
    "org.apache.flink.configuration.BatchExecutionOptions",
    "org.apache.flink.configuration.PipelineOptions",
    "org.apache.flink.configuration.RestartStrategyOptions",
    "org.apache.flink.configuration.StateBackendOptions",
    "org.apache.flink.configuration.StateChangelogOptions",
    "org.apache.flink.configuration.StateLatencyTrackOptions",
    "org.apache.flink.configuration.StateRecoveryOptions",
    "org.apache.flink.python.PythonOptions",
    "org.apache.flink.state.rocksdb.RocksDBConfigurableOptions",
    "org.apache.flink.state.rocksdb.RocksDBNativeMetricOptions",
    "org.apache.flink.state.rocksdb.RocksDBOptions",
    "org.apache.flink.table.api.config.ExecutionConfigOptions",
    "org.apache.flink.table.api.config.OptimizerConfigOptions",
    "org.apache.flink.table.api.config.TableConfigOptions",
)


def _keys_of_flink() -> set[str]:
    from pyflink.java_gateway import get_gateway  # noqa: PLC0415 (only the child process has a JVM)

    jvm = get_gateway().jvm
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    option = jvm.java.lang.Class.forName("org.apache.flink.configuration.ConfigOption", False, loader)
    keys: set[str] = set()
    for name in CLASSES:
        for field in jvm.java.lang.Class.forName(name, False, loader).getFields():
            if option.isAssignableFrom(field.getType()):
                value = field.get(None)
                keys.add(value.key())
                keys.update(fallback.getKey() for fallback in value.fallbackKeys())
    return keys


@pytest.mark.services
def test_every_setting_of_flink_is_known_and_no_other() -> None:
    child = [sys.executable, "-m", "tests.integration.test_flink_settings"]
    printed = subprocess.run(child, check=True, capture_output=True, text=True, timeout=limit_s(120)).stdout
    assert set(printed.split()) == FLINK_SETTINGS


def _is_setting(key: str) -> bool:
    internal = key.startswith("python.internal") or key.endswith(".") or "<" in key
    return key.startswith(FLINK_NAMESPACES) and not internal


if __name__ == "__main__":
    sys.stdout.writelines(f"{key}\n" for key in sorted(_keys_of_flink()) if _is_setting(key))
