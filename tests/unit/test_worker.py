"""What a worker looks at before it asks for work."""

from __future__ import annotations

from pathlib import Path

import pytest

import worker
from muster.services.errors import StartupError


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("RECORD", "strange.py,sha256=x,1\napi/__init__.py,sha256=x,1\n"),
        ("RECORD", "workflows/of_theirs.py,,\n"),
        ("RECORD", "activities.py,sha256=x,1\n"),
        ("top_level.txt", "strange\napi\n"),
    ],
)
def test_who_ships_modules_of_these_names_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: str
) -> None:
    installed = tmp_path / "strange-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (installed / file).write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(StartupError, match=r"strange also ships a module named (api|workflows|activities)"):
        worker._refuse_strangers()


def test_others_and_muster_itself_are_welcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, files in (("muster", "api/app.py,,\nworkflows/task.py,,\n"), ("other", "apis/a.py,,\nmy/api/a.py,,\n")):
        installed = tmp_path / f"{name}-1.0.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (installed / "RECORD").write_text(files)
    monkeypatch.syspath_prepend(str(tmp_path))
    worker._refuse_strangers()
