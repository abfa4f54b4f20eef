"""`bench compare --baseline`: two versions side by side, the other one run by a command, as real servers."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from chinwag.benchmarks.compare.compare import compare
from chinwag.benchmarks.compare.contestants import BASELINE, OWN_COMMAND, Bare, Site, reflector
from chinwag.benchmarks.compare.versions import Version
from chinwag.benchmarks.compare.works import Work
from chinwag.benchmarks.generator.http_client import HttpClient
from chinwag.benchmarks.generator.world import Plan
from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.scenarios.rooms import RoomsWork, measure
from tests.forks import run_forked

CHINWAG = str(Path(sys.executable).with_name("chinwag"))

OLDER = """
from functools import partial
from chinwag.http.cli import main

serve, later = main.commands["serve"], {"log_level": "warning", "access_token_minutes": 30.0}
serve.params = [each for each in serve.params if each.name not in later]
serve.callback = partial(serve.callback, **later)
main()
"""
"""A `chinwag` from before it had two of the options."""


def bench_compare(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_forked("bench", "compare", *arguments)


def test_a_version_that_knows_fewer_options_is_measured_in_pairs_and_without_peers(tmp_path: Path) -> None:
    older, figures, plots, peers = (tmp_path / name for name in ("older.py", "figures.json", "plots.html", "peers"))
    older.write_text(OLDER)
    done = bench_compare(
        *("--baseline", shlex.join([sys.executable, str(older)]), "--only", "rooms-1x2", "--repeat", "2"),
        *("--seconds", "0.3", "--json", str(figures), "--html", str(plots), "--peers", str(peers)),
    )
    assert done.returncode == 0, done.stderr
    [work] = json.loads(figures.read_text())["works"]
    assert [server["name"] for server in work["servers"]] == ["Chinwag", "baseline"]
    assert not peers.exists()
    for server in work["servers"]:
        assert server["skipped"] is None
        assert [each["complaints"] for each in server["rounds"]] == [[], []]
        assert not any(count for each in server["rounds"] for count in each["faults"].values())
    cpu = work["server_cpu"]
    assert cpu["per"] == "message"
    own, baseline = ([each["server_cpu_s"] / each["messages"] for each in s["rounds"]] for s in work["servers"])
    assert [each["own_s"] for each in cpu["pairs"]] == pytest.approx(own)
    assert [each["baseline_s"] for each in cpu["pairs"]] == pytest.approx(baseline)
    assert cpu["ratio_of_medians"] == pytest.approx(sum(own) / sum(baseline))
    for shown in (done.stdout, plots.read_text()):
        assert "Server CPU, beside the baseline" in shown
        assert f"{cpu['ratio_of_medians']:.3f} x" in shown
        assert f"{cpu['median_of_ratios']:.3f} x" in shown
        assert "To reach" not in shown
        assert str(tmp_path) not in shown


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/nonexistent/chinwag", "does not start: No such file or directory"),
        ("echo", "is no Chinwag: its `serve --help` does not name --front, --bind, --data"),
        (
            f"{sys.executable} -c \"import sys; '--help' in sys.argv or sys.exit('too old'); "
            "print('--front --bind --data')\"",
            "ended at once: too old",
        ),
        (f"{sys.executable} -c \"import sys; sys.exit('no such module')\"", "ended at once: no such module"),
    ],
    ids=["absent", "something else", "help alone", "broken"],
)
def test_a_baseline_that_cannot_be_run_is_told_in_one_line(command: str, told: str) -> None:
    done = bench_compare("--baseline", command, "--only", "rooms-1x2")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("Error: baseline (")
    assert line.endswith(f": {told}")


@pytest.mark.parametrize("command", ["", "'open"])
def test_what_is_no_command_is_refused(command: str) -> None:
    done = bench_compare("--baseline", command)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "--baseline" in line


def test_versions_are_compared_over_rooms_fanout_and_http() -> None:
    done = bench_compare("--baseline", CHINWAG, "--list")
    assert done.returncode == 0
    assert {line.split("-")[0] for line in done.stdout.splitlines()} == {"fanout", "rooms", "http"}


def test_each_work_begins_with_what_was_prepared(tmp_path: Path) -> None:
    plan, other = Plan(rooms=[2], history=1), Plan(rooms=[1])
    version = Version(BASELINE, OWN_COMMAND, tmp_path)
    version.prepare([other, plan, plan], cpu=None, tell=lambda _what, _share: None)
    assert len(list(tmp_path.iterdir())) == 2
    assert [post_and_count(version, plan) for _ in range(2)] == [2, 2]


def post_and_count(version: Version, plan: Plan) -> int:
    """How many messages the room has after one more."""
    with version.open(plan, None) as site:
        room = site.world.rooms[0]
        client, path, token = HttpClient(site.host, site.port), f"/v1/rooms/{room.id}/messages", room.members[1].token
        try:
            client.expect("POST", path, {"content": "one more"}, token=token, status=201)
            return len(client.expect("GET", path, token=token)["messages"])
        finally:
            client.close()


@pytest.mark.parametrize("fresh", [False, True])
def test_rounds_go_back_and_forth(fresh: bool) -> None:
    work = RoomsWork(members=2, window=2, messages=5)
    order: list[str] = []

    def noted(site: Site) -> Result:
        order.append(site.name)
        return measure(site, work)

    contestants = [Bare(name, reflector().command) for name in "ABC"]
    described = Work(
        key="x", title="x", unit="messages/s", plan=work.plan, measure=noted, contestants=contestants, fresh=fresh
    )
    compare([described], repeat=3, cpu=None, tell=lambda _what, _share: None)
    assert "".join(order) == "ABCCBAABC"
