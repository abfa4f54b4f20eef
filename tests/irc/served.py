"""`chinwag serve` with the IRC front, found as that of any other package."""

from collections.abc import Mapping
from pathlib import Path

from tests.e2e.processes import ROOT
from tests.forks import environment

IRC = ROOT / "examples" / "irc"


def with_irc(folder: Path) -> Mapping[str, str]:
    """The environment of a process that has the package: its code where it stands, its metadata in a folder."""
    metadata = folder / "chinwag_irc-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: chinwag-irc\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[chinwag.fronts]\nirc = chinwag_irc:FRONT\n")
    return environment(PYTHONPATH=f"{folder}:{IRC}")


def port_of_irc(banner: list[str]) -> int:
    """Where it listens."""
    [line] = [line for line in banner if line.startswith("    IRC ")]
    return int(line.rpartition(":")[2])
