"""A whole run fails when a documented status was never provoked, however many workers share the tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from chinwag.http.registry import FRONTS
from tests.http.api.documented_statuses import NEVER_PROVOKED, documented

ROOT = Path(__file__).parents[3]
INI = """
[pytest]
testpaths = tests
addopts = -q -p no:cacheprovider -m "not services"
markers = services: none are here
"""
CONFTEST = """
from tests.http.api.documented_statuses import Provoked, ProvokedStatuses

def pytest_configure(config):
    expected = {Provoked("a-front", "GET", "/path", status) for status in (200, 401, 404)}
    config.pluginmanager.register(ProvokedStatuses(config, expected))
"""
TESTS = """
import pytest
from tests.http.api.documented_statuses import Provoked, provoked

@pytest.mark.parametrize("status", [200, 404])
def test_provokes(status):
    provoked.add(Provoked("a-front", "GET", "/path", status))
"""


def test_every_operation_has_statuses_that_are_to_be_provoked() -> None:
    expected = set(documented(FRONTS))
    routes = {(front.name, route.method, route.path) for front in FRONTS for route in front.routes}
    assert {each[:3] for each in expected} == routes
    assert not {each.status for each in expected} & set(NEVER_PROVOKED)


@pytest.mark.parametrize(
    ("option", "missing"),
    [
        ("--numprocesses=2", (401,)),
        ("-k=test_provokes", ()),
        ("tests", ()),
    ],
)
def test_what_no_worker_provoked_fails_a_whole_run(tmp_path: Path, option: str, missing: tuple[int, ...]) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "pytest.ini").write_text(INI)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "tests" / "test_some.py").write_text(TESTS)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", option],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == (1 if missing else 0), ended.stdout + ended.stderr
    assert [line for line in ended.stdout.splitlines() if "never answered" in line] == [
        f"a-front: GET /path never answered {status}" for status in missing
    ]
