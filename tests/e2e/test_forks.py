"""A fork is to the tests what a new process would be."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.processes import CHINWAG, LIMIT_S, run, serving
from tests.forks import environment, run_forked


@pytest.mark.parametrize("command", ["serve --help", "serve --log-level loud"])
def test_output_errors_and_exit_code_are_those_of_a_new_process(tmp_path: Path, command: str) -> None:
    new = run([CHINWAG, *command.split()], cwd=tmp_path)
    fork = run_forked(*command.split(), folder=tmp_path)
    assert (fork.returncode, fork.stdout, fork.stderr) == (new.returncode, new.stdout, new.stderr)


def test_it_has_the_environment_and_the_folder_that_it_is_given(tmp_path: Path) -> None:
    ended = run_forked("serve", env=environment(CHINWAG_FRONT="no-such-front"))
    assert ended.returncode == 2 and "no-such-front" in ended.stderr
    (tmp_path / "chinwag-data").write_text("a file where the folder should be")
    ended = run_forked("serve", "--bind", "127.0.0.1:0", folder=tmp_path)
    assert ended.returncode == 1 and "chinwag-data" in ended.stderr


def test_one_does_not_know_of_another(tmp_path: Path) -> None:
    """No open files but those of a new process, and a folder that another uses is refused."""

    def open_files(pid: int) -> int:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208

    with (
        serving(tmp_path / "one") as one,
        serving(tmp_path / "two") as two,
        serving(tmp_path / "new", fresh=True) as new,
    ):
        assert open_files(one.process.pid) == open_files(two.process.pid) == open_files(new.process.pid)
        refused = run_forked("serve", "--bind", "127.0.0.1:0", "--data", str(tmp_path / "one"))
    assert refused.returncode == 1 and str(one.process.pid) in refused.stderr


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0), (signal.SIGINT, 0)])
def test_it_hears_signals_and_how_it_ended_is_told(tmp_path: Path, how: signal.Signals, code: int) -> None:
    with serving(tmp_path / "data") as server:
        assert server.process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(0.0)
        server.process.send_signal(how)
        assert server.process.wait(LIMIT_S) == server.process.poll() == code
        server.process.send_signal(how)  # there is nobody any more who could hear it
