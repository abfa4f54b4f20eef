"""What holds for a run of all tests."""

import pytest

import tests.examples  # noqa: F401  # registers the profiles that --hypothesis-profile names
from chinwag.http.registry import FRONTS
from tests.http.api.documented_statuses import ProvokedStatuses, documented


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(ProvokedStatuses(config, set(documented(FRONTS))))
