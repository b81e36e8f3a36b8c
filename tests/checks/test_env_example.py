"""`.env.example` is made from `muster/settings.py`: `python tests/checks/test_env_example.py` writes it anew."""

from __future__ import annotations

import textwrap
from pathlib import Path

from pydantic_core import PydanticUndefined

from muster.settings import Settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"

HEAD = """\
# Every setting of Muster. Copy to .env beside it and uncomment what you change; a variable of the
# environment wins over the file. Setting an address means that service and no other.
"""


def rendered() -> str:
    parts = [HEAD]
    for field in Settings.model_fields.values():
        default = "" if field.default in (None, PydanticUndefined) else str(field.default).lower()
        comment = textwrap.fill(field.description or "", 98, initial_indent="# ", subsequent_indent="# ")
        parts.append(f"{comment}\n# {field.alias}={default}\n")
    return "\n".join(parts)


def test_env_example_lists_every_setting() -> None:
    assert EXAMPLE.read_text() == rendered(), f"stale: run `python {Path(__file__).relative_to(EXAMPLE.parent)}`"


if __name__ == "__main__":
    EXAMPLE.write_text(rendered())
