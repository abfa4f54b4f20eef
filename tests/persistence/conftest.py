from pathlib import Path

import pytest

from chinwag.persistence import sqlite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chinwag.db"


@pytest.fixture
def never_flushes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is moved into the table for want of other work."""
    monkeypatch.setattr(sqlite, "FLUSH_DELAY_S", 3600.0)
