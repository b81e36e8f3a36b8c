"""`openapi.json` is made from the routes: `python tests/checks/test_openapi.py` writes it anew."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from api.app import create_app
from muster.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "openapi.json"
PROJECT = DOCUMENT.with_name("pyproject.toml")


def rendered() -> str:
    app = create_app(Settings(_env_file=None))  # type: ignore[call-arg]
    document: dict[str, Any] = app.openapi()
    # The installed distribution's, which in a checkout may lag behind.
    document["info"]["version"] = tomllib.loads(PROJECT.read_text())["project"]["version"]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def test_the_openapi_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == rendered(), f"stale: run `python {Path(__file__).relative_to(DOCUMENT.parent)}`"


if __name__ == "__main__":
    DOCUMENT.write_text(rendered())
