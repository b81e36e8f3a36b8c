"""Which of the lines that a failed command printed says why: not one that only says that something else failed."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules import causes, outcomes
from tests.pace import Stopwatch
from tests.unit.rules.observing import only, tool

E0502 = "cannot borrow `self.buf` as mutable because it is also borrowed as immutable"
CARGO = f"""\
   Compiling tok v0.1.0 (/app/crates/tok)
error[E0502]: {E0502}
   --> crates/tok/src/lexer.rs:212:9
    |
212 |         self.buf.push(c);
    |         ^^^^^^^^^^^^^^^^ mutable borrow occurs here

error[E0308]: mismatched types
   --> crates/tok/src/lexer.rs:300:9

Some errors have detailed explanations: E0308, E0502.
For more information about an error, try `rustc --explain E0308`.
error: could not compile `tok` (lib) due to 2 previous errors"""
MAKE = "make: *** [Makefile:9: lint] Error 1"
LD = "/usr/bin/ld: main.o: in function `main':\nmain.c:(.text+0x9): undefined reference to `foo'"


def of(command: str, said: str, edited: str = "src/a.c") -> tuple[str, list[str]]:
    """A fix, as it is told."""
    failed = tool("Bash", {"command": command}, {"stdout": "", "stderr": said}, exit_code=101)
    edit = tool("Edit", {"file_path": edited, "old_string": "a = 1", "new_string": "a = 2"}, {"success": True})
    passed = tool("Bash", {"command": command}, {"stdout": "it went well", "stderr": ""}, exit_code=0)
    one = only(failed, edit, passed)
    assert one.type == "bugfix"
    return one.title, one.facts


@pytest.mark.parametrize(
    ("command", "said", "what"),
    [
        ("make lint", f"toml_loader.py:3:1: E302 expected 2 blank lines\n{MAKE}", "E302 expected 2 blank lines"),
        ("make build", f"# api\n./api/handler.go:31:14: undefined: ctxKey\n{MAKE}", "undefined: ctxKey"),
        ("make", "a.c:3:5: error: 'foo' undeclared\nmake[1]: *** [a.o] Error 1\nmake: *** [all] Error 2",
         "error: 'foo' undeclared"),
        ("make", "make: *** No rule to make target 'foo', needed by 'all'.  Stop.", "make: *** No rule to make target"),
        ("make test", "FAILED tests/a.py::test_it - assert 1 == 2\n1 failed in 0.1s\nmake: *** [test] Error 1",
         "assert 1 == 2"),
        ("make lint", f"would reformat a.py\n1 file would be reformatted\n{MAKE}", "1 file would be reformatted"),
        ("gmake", "a.c:1:1: error: no\ngmake: *** [Makefile:1: a] Error 1", "error: no"),
        ("make", f"/usr/bin/python a.py\na.py:7: E999 it is not so\n{MAKE}", "E999 it is not so"),
        ("cargo build", CARGO.replace("E0308]: mismatched types", "E0425]: cannot find value"),
         "error[E0425]: cannot find value"),
        ("rustc a.rs", "error[E0308]: mismatched types\nerror: aborting due to 1 previous error",
         "error[E0308]: mismatched types"),
        ("cargo build", "error: linking with `cc` failed: exit status: 1\n  = note: ld: cannot find -lssl\n"
         "error: could not compile `a` (bin)", "= note: ld: cannot find -lssl"),
        ("gcc main.c", f"{LD}\ncollect2: error: ld returned 1 exit status", "main.c:(.text+0x9): undefined reference"),
        ("clang main.c", f"{LD}\nclang: error: linker command failed with exit code 1 (use -v to see invocation)",
         "main.c:(.text+0x9): undefined reference"),
        ("gcc -Werror a.c", "a.c:3:9: error: unused variable 'x' [-Werror]\ncc1: all warnings being treated as errors",
         "error: unused variable 'x'"),
        ("npm run build", "src/a.ts(3,4): error TS2304: Cannot find name 'x'.\nnpm ERR! code ELIFECYCLE\n"
         "npm ERR! errno 2\nnpm ERR! shop@1.0.0 build: `tsc`\nnpm ERR! Exit status 2\nnpm ERR!\n"
         "npm ERR! Failed at the shop@1.0.0 build script.\nnpm ERR! A complete log of this run can be found in:\n"
         "npm ERR!     /root/.npm/_logs/a-debug.log", "error TS2304: Cannot find name 'x'."),
        ("npm run build", "Could not resolve entry module \"src/main.ts\".\nnpm error code 1\nnpm error path /app/web\n"
         "npm error command failed\nnpm error command sh -c vite build", "Could not resolve entry module"),
        ("npm i", "npm ERR! code E404\nnpm ERR! 404 Not Found - GET https://r.example/left\n"
         "npm ERR! A complete log of this run can be found in: /root/a.log", "npm ERR! 404 Not Found"),
        ("yarn build", "src/a.js:3:4: Unexpected token\nerror Command failed with exit code 1.\ninfo Visit y.example",
         "Unexpected token"),
        ("pnpm build", "Type error: 'x' is not there\n ELIFECYCLE  Command failed with exit code 2.",
         "Type error: 'x'"),
        ("bun run build", 'error: Could not resolve "./a"\nerror: script "build" exited with code 1',
         'error: Could not resolve "./a"'),
        ("ninja", "FAILED: a.o\n../a.c:3:5: error: expected ';'\nninja: build stopped: subcommand failed.",
         "error: expected ';'"),
        ("./gradlew build", "e: file:///app/src/A.kt:3:4 Unresolved reference: x\n> Task :compileKotlin FAILED\n\n"
         "FAILURE: Build failed with an exception.\n\n* What went wrong:\nExecution failed for task ':compileKotlin'.\n"
         "> Compilation error. See log for more details\n\nBUILD FAILED in 3s", "Unresolved reference: x"),
        ("mvn compile", "[ERROR] COMPILATION ERROR : \n[ERROR] /app/A.java:[3,4] cannot find symbol\n[INFO] 1 error\n"
         "[INFO] BUILD FAILURE\n[ERROR] Failed to execute goal org.a:b:compile (d) on project a: Compilation failure\n"
         "[ERROR] -> [Help 1]\n[ERROR] Re-run Maven using the -X switch to enable full debug logging.\n"
         "[ERROR] For more information about the errors and possible solutions, please read", "cannot find symbol"),
        ("mvn compile", "[ERROR] Failed to execute goal on project shop: Could not find artifact a:b:1.0\n"
         "[ERROR] -> [Help 1]", "[ERROR] Failed to execute goal on project shop: Could not find artifact"),
        ("dotnet build", "A.cs(3,4): error CS0103: The name 'x' does not exist\n\nBuild FAILED.\n    1 Error(s)",
         "error CS0103: The name 'x' does not exist"),
        ("docker build .", "#9 3.1 ERROR: No matching distribution found for left\n#9 ERROR: process \"/bin/sh -c a\" "
         "did not complete successfully: exit code: 1\nERROR: failed to solve: process \"/bin/sh -c pip\" did not "
         "complete successfully: exit code: 1", "ERROR: No matching distribution found for left"),
        ("docker build .", "ERROR: failed to solve: failed to compute cache key: \"/app\": not found",
         "ERROR: failed to solve: failed to compute cache key"),
        ("pip install a", "error: subprocess-exited-with-error\n  error: command 'gcc' not found: No such file\n"
         "note: This error originates from a subprocess\nERROR: Failed building wheel for a",
         "error: command 'gcc' not found"),
        ("gh run view", "Error: The key 'x' is not there\nError: Process completed with exit code 1.",
         "Error: The key 'x' is not there"),
        ("./ci.sh", "##[error]The disk is full\n##[error]Process completed with exit code 1.",
         "##[error]The disk is full"),
        ("just lint", "a.py:1:1: F401 `os` imported but unused\nFound 1 error.\nerror: Recipe `lint` failed on line 3 "
         "with exit code 1", "F401 `os` imported but unused"),
        ("node a.js", "Error: Request failed with status code 404\nprocess exited with code 1",
         "Error: Request failed with status code 404"),
        ("ruff check", "Found 3 errors.", "Found 3 errors."),
        ("make all", MAKE, MAKE),
        ("./a.sh", "it is all over\nexit status 1", "it is all over"),
    ],
)  # fmt: skip
def test_a_line_that_says_why_comes_first(command: str, said: str, what: str) -> None:
    found = outcomes.failure(said).what
    assert found.startswith(what) or what in found
    assert not found.startswith("make: *** [") or what == MAKE
    one = only(tool("Bash", {"command": command}, {"stdout": "", "stderr": said}, exit_code=1))
    assert what.removeprefix("FAILED ") in one.title


def test_a_fix_says_all_that_it_failed_with() -> None:
    title, facts = of("cargo test", CARGO, "crates/tok/src/lexer.rs")
    assert title == "Fix mismatched types in lexer.rs"
    assert facts == [f"It failed with {what}" for what in ("error[E0308]: mismatched types", f"error[E0502]: {E0502}")]
    only_one = CARGO.replace("error[E0308]: mismatched types\n", "")
    title, facts = of("cargo test", only_one, "crates/tok/src/lexer.rs")
    assert title == f"Fix {E0502} in lexer.rs"
    assert facts == [f"It failed with error[E0502]: {E0502}"]
    title, facts = of("make lint", f"toml_loader.py:3:1: E302 expected 2 blank lines\n{MAKE}", "toml_loader.py")
    assert (title, facts) == (
        "Fix E302 expected 2 blank lines in toml_loader.py",
        ["It failed with toml_loader.py:3:1: E302 expected 2 blank lines"],
    )  # fmt: skip
    many = "\n".join(f"a.c:{n}:1: error: 'x{n}' undeclared" for n in range(500))
    title, facts = of("make", f"{many}\n{MAKE}")
    assert len(facts) <= 8
    assert "'x499' undeclared" in facts[0]


@pytest.mark.parametrize(
    "line",
    ["a.c:3:5: error: x", "error: could not find `a`", "npm ERR! code E404", "fatal: not a git repository",
     "Error: Request failed with status code 500", "make: *** No rule to make target 'a'.  Stop.",
     "ninja: error: loading 'build.ninja': No such file or directory", "ValueError: failed with 3 of them",
     "worker: it failed to start", "ERROR: failed to solve: python:9: not found", "error: the exit is closed"],
)  # fmt: skip
def test_what_says_why_is_no_echo(line: str) -> None:
    assert not causes.is_echo(line)


def test_hostile_lines_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("a", "make: *** [", "a.c:1:", "error ", "exit ", " with a", "'", "npm ERR! ", "/", "[ERROR] ",
                "failed ", "failed to solve: ", "a.c(1,", "> ", "0"):  # fmt: skip
        for text in (bit * (250_000 // len(bit)), f"{bit * (300 // len(bit))}\n" * 800):
            outcomes.failure(text)
            outcomes.complaints(text, 6)
    assert began.fair < 8
