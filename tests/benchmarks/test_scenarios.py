"""Each scenario, tiny, through the command line against a real server; and the command line itself."""

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from chinwag.benchmarks.cli import bench as bench_group
from chinwag.benchmarks.compare import machine
from chinwag.benchmarks.compare.compare import compare
from chinwag.benchmarks.compare.contestants import Bare, reflector
from chinwag.benchmarks.compare.installs import SOURCES, Installs
from chinwag.benchmarks.compare.works import Goal, Work
from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.scenarios.rooms import RoomsWork, measure, warm_up
from tests.forks import run_forked

CHINWAG = str(Path(sys.executable).with_name("chinwag"))
LIMIT_S = 60.0


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_forked("bench", *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("fanout", "--members", "5", "--window", "4", "--messages", "50"),
        ("rooms", "--rooms", "3", "--window", "2", "--seconds", "0.2", "--idle", "4"),
        ("http", "--kind", "send", "--connections", "3", "--messages", "30"),
        ("http", "--kind", "history", "--connections", "3", "--seconds", "0.2"),
        ("idle", "--connections", "20", "--seconds", "0.2"),
        ("churn", "--connections", "3", "--seconds", "0.2"),
        ("flood", "--kind", "log-in", "--connections", "20", "--senders", "2", "--seconds", "0.4"),
        ("mixed", "--rooms", "2", "--members", "3", "--seconds", "0.5"),
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)
def test_a_scenario_measures_and_finds_no_fault(arguments: tuple[str, ...], tmp_path: Path) -> None:
    figures, plots = tmp_path / "figures.json", tmp_path / "plots.html"
    done = bench(*arguments, "--json", str(figures), "--html", str(plots))
    assert done.returncode == 0, done.stderr
    [run] = json.loads(figures.read_text())["runs"]
    assert run["rate"] > 0
    assert run["faults"] == {"lost": 0, "duplicated": 0, "reordered": 0, "foreign": 0}
    assert run["complaints"] == []
    assert "none lost, none twice, all in order" in done.stdout
    assert plots.read_text().startswith("<!doctype html>")


def test_scale_compares_stores_of_different_size(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = bench("scale", "--sizes", "50,100", "--connections", "2", "--seconds", "0.1", "--json", str(figures))
    assert done.returncode == 0, done.stderr
    runs = json.loads(figures.read_text())["runs"]
    assert {run["parameters"]["size"] for run in runs} == {50, 100}
    assert all(run["rate"] > 0 and not run["complaints"] for run in runs)


def test_a_target_is_measured_over_http_alone(tmp_path: Path) -> None:
    port = machine.free_port()
    server = subprocess.Popen(
        [CHINWAG, "serve", "--bind", f"127.0.0.1:{port}", "--data", str(tmp_path / "data")], stdout=subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline()
        target = f"http://127.0.0.1:{port}/chatterstack"
        done = bench("fanout", "--members", "3", "--messages", "20", "--target", target)
        assert done.returncode == 0, done.stderr
        assert "none lost, none twice, all in order" in done.stdout
    finally:
        server.terminate()
        server.communicate(timeout=LIMIT_S)


def test_a_target_that_is_not_there_is_one_line_on_stderr() -> None:
    done = bench("fanout", "--members", "3", "--target", f"http://127.0.0.1:{machine.free_port()}")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_peers_that_cannot_be_run_are_named_as_skipped() -> None:
    work = RoomsWork(members=2, window=2, messages=20)
    absent = Bare("absent", lambda _port: ["/nonexistent/server"])
    broken = Bare("broken", lambda _port: [sys.executable, "-c", "raise SystemExit('no such module')"])
    [comparison] = compare(
        [
            Work(
                key="x",
                title="x",
                unit="messages/s",
                plan=work.plan,
                measure=lambda site: measure(site, work),
                warm_up=lambda site: warm_up(site, work),
                contestants=[reflector(), absent, broken],
                goals=[Goal(against="absent", factor=1)],
            )
        ],
        repeat=2,
        cpu=None,
        tell=lambda _what, _share: None,
    )
    measured, *skipped = comparison.rows
    assert len(measured.results) == 2
    assert [row.skipped for row in skipped] == [
        "does not start: No such file or directory",
        "ended at once: no such module",
    ]
    assert [verdict.reached for verdict in comparison.verdicts()] == [None]


def test_of_two_variants_of_one_server_the_faster_is_measured() -> None:
    work = RoomsWork(members=2, window=2, messages=20)
    rates = iter([1.0, 2.0])
    [comparison] = compare(
        [
            Work(
                key="x",
                title="x",
                unit="messages/s",
                plan=work.plan,
                measure=lambda site: measure(site, work),
                warm_up=lambda _site: next(rates),
                contestants=[reflector(), reflector()],
            )
        ],
        repeat=1,
        cpu=None,
        tell=lambda _what, _share: None,
    )
    [row] = comparison.rows
    assert len(row.results) == 1


def test_without_node_its_peers_are_missing_for_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="node and npm are not installed"):
        Installs(tmp_path).node()


def test_every_peers_source_is_shipped() -> None:
    names = {path.name for path in SOURCES.iterdir() if path.is_file()}
    assert {"package.json", "requirements.txt", "ws.mjs", "bun.mjs", "socketio.mjs", "fastapi_chat.py"} <= names
    packaged = re.search(r'"chinwag.benchmarks.peers" = \[(.*)\]', (SOURCES.parents[1] / "pyproject.toml").read_text())
    assert packaged is not None
    assert {Path(name).suffix for name in names} == {".py", *re.findall(r"\*(\.\w+)", packaged[1])}


def test_help_loads_nothing_that_measures() -> None:
    program = "import sys, chinwag.http.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\n"
    program += "print([name for name in sys.modules if name.startswith('chinwag.benchmarks.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "bench" in done.stdout
    assert done.stdout.splitlines()[-1] == "['chinwag.benchmarks.cli']"


def test_every_option_is_explained() -> None:
    for command in bench_group.commands.values():
        options = [each for each in command.params if isinstance(each, click.Option)]
        assert all(each.help for each in options), command.name
        if command.name not in ("peers", "compare", "scale"):
            assert {"target", "front", "repeat", "server_cpu", "client_cpu", "json_path", "html_path"} <= {
                each.name for each in options
            }
