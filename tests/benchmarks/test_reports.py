"""Reports need nothing but themselves, and tell nothing about the machine but its kind."""

import io
import json
import platform
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from chinwag.benchmarks.compare.compare import Comparison, Row
from chinwag.benchmarks.compare.contestants import BASELINE
from chinwag.benchmarks.compare.works import Goal, Work
from chinwag.benchmarks.generator.accounting import Faults
from chinwag.benchmarks.generator.world import Plan
from chinwag.benchmarks.report import files, page, tables
from chinwag.benchmarks.report.results import Result
from chinwag.benchmarks.report.statistics import latency, rate_over_time
from chinwag.http.cli import main


def result(server: str, rate: float, *, lost: int = 0) -> Result:
    times = [0.001 * (1 + each % 7) for each in range(100)]
    return Result(
        scenario="fanout",
        server=server,
        parameters={"members": 2},
        unit="messages/s",
        rate=rate,
        seconds=2.0,
        messages=100,
        deliveries=200,
        latency=latency(times),
        over_time=rate_over_time([each / 50 for each in range(100)], 2.0),
        faults=Faults(lost=lost),
        server_cpu_s=1.0,
        server_peak_bytes=50_000_000,
    )


def comparison(*, lost: int = 0) -> Comparison:
    work = Work(
        key="fanout",
        title="fanout <b>of 2</b>",
        unit="messages/s",
        plan=Plan(rooms=[2]),
        measure=lambda _site: result("", 0),
        contestants=[],
        goals=[Goal(against="node ws", factor=2), Goal(against="Bun", factor=0.6)],
    )
    rows = [Row(name="Chinwag"), Row(name="node ws"), Row(name="Bun")]
    rows[0].results, rows[0].figure = [result("Chinwag", 300, lost=lost)], 300
    rows[1].results, rows[1].figure = [result("node ws", 100)], 100
    rows[2].skipped = "node and npm are not installed"
    return Comparison(work=work, rows=rows)


class Loads(HTMLParser):
    """Gathers everything that a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open_tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "xlink:href", "srcset", "data")]
        if tag in ("script", "link", "iframe", "img", "object", "embed"):
            self.found.append(tag)
        if tag != "meta":
            self.open_tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open_tags.pop()


def check_alone(text: str) -> None:
    loads = Loads()
    loads.feed(text)
    assert not loads.found
    assert not [tag for tag in loads.open_tags if tag not in ("html", "!doctype")]
    assert not re.search(r"https?://|url\(|@import", text)
    assert platform.node() not in text
    assert str(Path.home()) not in text


def test_a_scenarios_page_is_self_contained_and_has_its_plots() -> None:
    text = page.of_results("fanout on Chinwag", [result("Chinwag", 300)], result("ceiling", 900))
    check_alone(text)
    assert text.count("<svg") == 3
    assert "Throughput over time" in text


def test_what_was_asked_for_is_told_in_words() -> None:
    mixed = result("Chinwag", 300)
    mixed.parameters = {"rooms": 2, "seconds": 0.5, "idle": 0, "messages": None, "mix": {"send": 20, "read": 0}}
    assert "<h2>rooms 2, seconds 0.5, mix send=20</h2>" in page.of_results("mixed", [mixed], None)
    stores = [result("Chinwag", 300), result("Chinwag", 200)]
    for each, size in zip(stores, (1_000, 1_000_000), strict=True):
        each.parameters = {"size": size, "seconds": 2.0}
    assert "<h2>size 1,000 and 1,000,000, seconds 2</h2>" in page.of_results("scale", stores, None)


def test_a_report_has_no_card_plot_or_column_without_anything_in_it() -> None:
    idle = result("Chinwag", 300)
    idle.latency, idle.over_time, idle.deliveries, idle.more = None, (), 0, {"server memory, MB": 76.0}
    text = page.of_results("idle", [idle], None)
    check_alone(text)
    assert "<section></section>" not in text
    assert "Latency" not in text and "Throughput" not in text and "p50" not in text and "deliveries/s" not in text
    assert "run 1: server memory, MB" in text
    idle.over_time = ((0.1, 5.0), (0.2, 7.0))
    text = page.of_results("idle", [idle], None)
    assert "Throughput" in text and "Latency" not in text and text.count("<svg") == 2


def test_on_a_phone_each_figure_says_what_it_is() -> None:
    text = page.of_comparisons([comparison()])
    assert '<td data-head="p99">7.00 ms</td>' in text
    assert "@media (max-width: 40rem)" in text


@pytest.mark.parametrize("option", ["--html", "--json"])
@pytest.mark.parametrize("command", ["idle", "compare", "scale", "http"])
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, command: str, option: str
) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nowhere" / "x.html", tmp_path / "file" / "x.html", tmp_path):
        told = CliRunner().invoke(main, ["bench", command, option, str(path)])
        assert told.exit_code == 2
        [line] = told.stderr.splitlines()
        assert option in line and str(path) in line
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_the_comparisons_page_is_self_contained_and_escapes_what_it_shows() -> None:
    text = page.of_comparisons([comparison()])
    check_alone(text)
    assert "fanout &lt;b&gt;of 2&lt;/b&gt;" in text
    assert "3.00 x" in text
    assert "Bun was skipped: node and npm are not installed" in text


def beside_baseline(*, lost: int = 0) -> Comparison:
    work = Work(
        key="http-send",
        title="send <b>&</b>",
        unit="requests/s",
        plan=Plan(rooms=[2]),
        measure=lambda _site: result("", 0),
        contestants=[],
    )
    rows = [Row(name="Chinwag"), Row(name=BASELINE)]
    for row, factors in zip(rows, ((1.0, 4.0, 3.0), (2.0, 2.0, 1.0)), strict=True):
        row.results, row.figure = [result(row.name, 300, lost=lost) for _ in factors], 300
        for each, factor in zip(row.results, factors, strict=True):
            each.server_cpu_s = factor / 1000
    return Comparison(work=work, rows=rows)


def test_a_baselines_costs_are_in_every_report(tmp_path: Path) -> None:
    path, out = tmp_path / "figures.json", io.StringIO()
    files.write(path, files.of_comparisons([beside_baseline(), comparison()]))
    first, second = (work["server_cpu"] for work in json.loads(path.read_text())["works"])
    assert first["per"] == "request"
    assert (first["own_s"], first["baseline_s"]) == pytest.approx((30e-6, 20e-6))
    assert (first["ratio_of_medians"], first["median_of_ratios"]) == pytest.approx((1.5, 2.0))
    assert [each["ratio"] for each in first["pairs"]] == pytest.approx([0.5, 2.0, 3.0])
    assert second is None
    tables.show_pairs(Console(file=out, width=160), [beside_baseline(), comparison()])
    text = page.of_comparisons([beside_baseline()])
    check_alone(text)
    assert "send &lt;b&gt;&amp;&lt;/b&gt;" in text
    for shown in (out.getvalue(), text):
        for cell in ("request", "30.0 µs", "20.0 µs", "1.500 x", "2.000 x", "0.500 x, 3.000 x"):
            assert cell in shown
        assert "node ws" not in shown


def test_a_cost_is_not_shown_without_the_faults_of_either() -> None:
    assert tables.pair_cells([beside_baseline()])[0][-1] == ""
    assert tables.pair_cells([beside_baseline(lost=1)])[0][-1] == "Chinwag, baseline"


def test_without_a_baseline_or_goals_their_tables_are_left_out() -> None:
    out = io.StringIO()
    tables.show_pairs(Console(file=out, width=160), [comparison()])
    tables.summary(Console(file=out, width=160), [beside_baseline()])
    assert out.getvalue() == ""
    assert "beside the baseline" not in page.of_comparisons([comparison()])
    assert "To reach" not in page.of_comparisons([beside_baseline()])


def test_goals_are_judged_by_medians_and_never_reached_with_losses() -> None:
    assert [verdict.reached for verdict in comparison().verdicts()] == [True, None]
    assert [verdict.reached for verdict in comparison(lost=1).verdicts()] == [False, None]


def test_json_tells_the_kind_of_machine_and_no_name(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    files.write(path, files.of_comparisons([comparison()]))
    text = path.read_text()
    document = json.loads(text)
    assert document["machine"]["cores"] >= 1
    assert document["works"][0]["servers"][0]["rounds"][0]["latency"]["count"] == 100
    assert platform.node() not in text
    assert str(tmp_path) not in text
