"""The show, on a Muster that it starts and stops itself."""

from __future__ import annotations

from pathlib import Path

from tests.services.conftest import Muster, home, muster, nobody_left  # noqa: F401 - fixtures


async def test_the_demo_keeps_its_word(home: Path) -> None:  # noqa: F811
    done = Muster(home, MAX_CONCURRENT_AGENTS="2")("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 14
    assert "✗" not in done.stdout
    assert "/docs" in done.stdout
    assert not (home / "runtime.json").exists()
    await nobody_left(home)
