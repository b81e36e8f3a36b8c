"""An edit is told by what can be called from elsewhere, in the file where that is; not by what it names for itself."""

from __future__ import annotations

import pytest

from muster.domain.memory import Event
from tests.unit.rules.observing import only, tool


def edited(path: str, old: str, new: str) -> Event:
    return tool("Edit", {"file_path": path, "old_string": old, "new_string": new}, "ok")


def patched(patch: str) -> Event:
    return tool("apply_patch", {"input": f"*** Begin Patch\n{patch}*** End Patch"}, "Success.")


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("App.tsx", "  return stamp;", "  const date = new Date(stamp);\n  const year = date.year();\n  return year;"),
        ("queue.ts", "    send(one);", "    let current = queue.shift();\n    send(current);"),
        ("cart.js", "\treturn 1;", "\tvar sum = 1;\n\treturn sum;"),
        ("Cart.kt", "    return 1", "    val sum = 1\n    return sum"),
    ],
)  # fmt: skip
def test_what_is_named_within_is_no_feature(path: str, old: str, new: str) -> None:
    one = only(edited(path, old, new))
    assert (one.type, one.importance) == ("change", 0.5)
    assert one.title.startswith(f"Change {path}: `")


@pytest.mark.parametrize(
    ("path", "new", "title"),
    [
        ("shop/cart.py", "def add(one):\n    total = 1\n    return total", "Add `add` to cart.py"),
        ("cart.ts", "export const MOST = 3;", "Add `MOST` to cart.ts"),
        ("cart.ts", "const addOne = (one) => {\n  const sum = 1;\n  return sum;\n};", "Add `addOne` to cart.ts"),
        ("cart.ts", "  async renameCart(id: string): Promise<void> {\n    const at = id;\n    if (at) {\n    }\n  }",
         "Add `renameCart` to cart.ts"),
        ("Cart.kt", "    fun add(one: Int) {\n        val sum = 1\n    }", "Add `add` to Cart.kt"),
        ("cart.ts", "  export const inner = 1;", "Add `inner` to cart.ts"),
    ],
)  # fmt: skip
def test_what_can_be_called_is_a_feature(path: str, new: str, title: str) -> None:
    one = only(edited(path, "x", new))
    assert (one.type, one.title) == ("feature", title)


def test_of_several_files_each_name_stands_with_its_own() -> None:
    update = "*** Update File: src/repository.ts\n@@\n-  x\n+export function store() {\n+  const index = 1;\n+}\n"
    test = "*** Add File: src/transport.test.ts\n+test('it', () => {\n+  const sent = 1;\n+});\n"
    one = only(patched(update + test.replace("Add File", "Update File")))
    assert one.title == "Add `store` to repository.ts"
    assert one.files_modified == ["src/repository.ts", "src/transport.test.ts"]
    one = only(patched(test), patched(update))
    assert one.title == "Add transport.test.ts"
    notes = "*** Update File: NOTES.md\n@@\n+6. The carts are kept in a store\n"
    one = only(patched(notes + "*** Update File: src/cart.ts\n@@\n-  x();\n+  const kept = load(3);\n"))
    assert one.title == "Change NOTES.md and cart.ts: `const kept = load(3);`"


def test_what_is_renamed_or_gone_stands_in_its_file() -> None:
    one = only(edited("cart.ts", "export function add() {", "export function addOne() {"))
    assert one.title == "Rename `add` to `addOne` in cart.ts"
    one = only(edited("cart.ts", "export function add() {}", ""), edited("b.ts", "  const a = 1;", "  const b = 1;"))
    assert one.title == "Remove `add` from cart.ts"


def test_what_looks_like_a_method_in_a_text_is_none() -> None:
    query = 'QUERY = """\n  query {\n    repository(owner: $owner) {\n      issues(first: 3) {\n"""'
    assert only(edited("fetch.py", "x = 1", query)).type == "change"
    one = only(edited("a.ts", "export function make() {}", ""), edited("b.ts", "x", "export function take() {}"))
    assert one.title == "Add `take` to b.ts"


def test_long_texts_are_read_in_time() -> None:
    for text in ("  const a = 1;\n" * 9000, "  a(" * 60_000, " " * 250_000, "export " * 40_000, "  a" + "b" * 250_000):
        only(edited("cart.ts", "x", text))
