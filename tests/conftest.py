"""What all tests share: services, groups, markers, and filters for warnings of other packages."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

from tests.patience import limit_s

pytest_plugins = [
    "tests.services.shared",
    "tests.services.owned",
    "tests.services.groups",
    "tests.services.report",
]

# Property tests draw the same examples in each `make test`; `make faults` draws new ones. No example has a
# deadline, because these tests do not measure the speed of the machine.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("new", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("EXAMPLES", "fixed"))


def pytest_configure(config: pytest.Config) -> None:
    try:
        limit_s(1)
    except ValueError as exc:
        raise pytest.UsageError(str(exc)) from exc
    # Background commands of a shell without job control ignore Ctrl-C, and children inherit this: tests that
    # send Ctrl-C would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line(
        "markers", "long: takes minutes; `make faults` and `make bench` run it, `make test` does not"
    )
    config.addinivalue_line("markers", "fault: kills, stops or starves something; `make faults` runs it")
    # kafka-python 3.0 reads its protocol schemas by a function that importlib.resources deprecates.
    config.addinivalue_line(
        "filterwarnings",
        r"ignore:(read|open)_text is deprecated:DeprecationWarning",
    )
    # pyflink 2.3 marks its own classes as deprecated while it imports them.
    config.addinivalue_line(
        "filterwarnings", r"ignore:[\w.]+ has been deprecated since version:DeprecationWarning:pyflink\..*"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Multiply the timeout of each test, its own or the common one, by TEST_PATIENCE."""
    of_all = config.getoption("timeout", None) or config.getini("timeout") or 0
    for item in items:
        own = item.get_closest_marker("timeout")
        seconds = own.args[0] if own and own.args else own.kwargs["timeout"] if own else of_all
        item.add_marker(pytest.mark.timeout(limit_s(float(seconds))), append=False)
