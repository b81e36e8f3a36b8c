"""What test runners print of one failing test, as a template: `took` and counts differ from run to run."""

from __future__ import annotations

from typing import NamedTuple


class Run(NamedTuple):
    command: str
    printed: str
    """With `{n}`, `{all}` and `{more}` for counts, `{t}` for a time, `{noise}` for what passes beside it."""
    title: str
    others: tuple[tuple[str, str], ...] = (("12", "11"), ("sums the prices", "adds the tax"))
    """What another failure says instead."""
    passing: str = ""
    """A line for each test that passes, with `{name}` and `{t}`."""

    def output(self, n: int, t: int) -> str:
        names = ("adds", "clears", "counts", "drops", "empties", "finds", "gives")[: n % 7 + 1]
        beside = "".join(self.passing.format(name=name, t=t, n=at, all=n + 1) for at, name in enumerate(names, 40))
        given = {"n": n, "all": n + 1, "more": n + 3, "t": t, "noise": beside}
        text = self.printed
        for key, value in given.items():
            text = text.replace(f"{{{key}}}", str(value))
        return text


JEST = """\
{noise}FAIL src/cart.test.js (5.{t} s)
  cart
    ✓ is empty ({t} ms)
    ✕ sums the prices ({t} ms)

  ● cart › sums the prices

    expect(received).toBe(expected) // Object.is equality

    Expected: 113
    Received: 12

      10 |   test('sums the prices', () => {
      11 |     const cart = new Cart([5, 8]);
    > 12 |     expect(cart.total()).toBe(13);
         |                          ^
      13 |   });

      at Object.toBe (src/cart.test.js:12:26)

Test Suites: 1 failed, {n} passed, {all} total
Tests:       1 failed, {n} passed, {all} total
Snapshots:   0 total
Time:        0.{t} s, estimated {t} s
Ran all test suites.
"""

VITEST = """\

 RUN  v1.6.0 /app

{noise} ❯ src/cart.test.ts  ({all} tests | 1 failed) {t}ms
   ❯ src/cart.test.ts > cart > sums the prices
     → expected 12 to be 113 // Object.is equality

⎯⎯⎯⎯⎯⎯⎯ Failed Tests 1 ⎯⎯⎯⎯⎯⎯⎯

 FAIL  src/cart.test.ts > cart > sums the prices
AssertionError: expected 12 to be 113 // Object.is equality

- Expected
+ Received

- 113
+ 12

 ❯ src/cart.test.ts:12:26
     10|   test('sums the prices', () => {
     11|     const cart = new Cart([5, 8])
     12|     expect(cart.total()).toBe(13)
       |                          ^
     13|   })

⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯[1/1]⎯

 Test Files  1 failed | {n} passed ({all})
      Tests  1 failed | {n} passed ({all})
   Start at  10:11:{t}
   Duration  {t}ms (transform {t}ms, setup 0ms, collect 3{t}ms, tests {t}ms, environment 0ms, prepare 5{t}ms)

"""

VITEST_3 = """\

 RUN  v3.2.4 /app

{noise} ❯ src/cart.test.ts ({all} tests | 1 failed) {t}ms
   ✓ cart > is empty {t}ms
   × cart > sums the prices {t}ms
     → expected 12 to be 113 // Object.is equality

⎯⎯⎯⎯⎯⎯⎯ Failed Tests 1 ⎯⎯⎯⎯⎯⎯⎯

 FAIL  src/cart.test.ts > cart > sums the prices
AssertionError: expected 12 to be 113 // Object.is equality
 ❯ src/cart.test.ts:12:26

⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯[1/1]⎯

 Test Files  1 failed | {n} passed ({all})
      Tests  1 failed | {n} passed ({all})
   Start at  10:11:{t}
   Duration  {t}ms (transform {t}ms, setup 0ms, collect 3{t}ms, tests {t}ms, environment 0ms, prepare 5{t}ms)
"""

MAVEN = """\
[INFO] Scanning for projects...
[INFO]
[INFO] --------------------------< com.example:shop >--------------------------
[INFO] Building shop 1.0-SNAPSHOT
[INFO]   from pom.xml
[INFO] --------------------------------[ jar ]---------------------------------
[INFO]
[INFO] --- surefire:3.2.5:test (default-test) @ shop ---
[INFO] Using auto detected provider org.apache.maven.surefire.junitplatform.JUnitPlatformProvider
[INFO]
[INFO] -------------------------------------------------------
[INFO]  T E S T S
[INFO] -------------------------------------------------------
{noise}[INFO] Running com.example.CartTest
[ERROR] Tests run: {all}, Failures: 1, Errors: 0, Skipped: 0, Time elapsed: 0.{t} s <<< FAILURE! -- \
in com.example.CartTest
[ERROR] com.example.CartTest.sumsThePrices -- Time elapsed: 0.0{t} s <<< FAILURE!
org.opentest4j.AssertionFailedError: expected: <113> but was: <12>
\tat org.junit.jupiter.api.AssertionFailureBuilder.build(AssertionFailureBuilder.java:151)
\tat org.junit.jupiter.api.AssertEquals.failNotEqual(AssertEquals.java:197)
\tat com.example.CartTest.sumsThePrices(CartTest.java:12)

[INFO]
[INFO] Results:
[INFO]
[ERROR] Failures:
[ERROR]   CartTest.sumsThePrices:12 expected: <113> but was: <12>
[INFO]
[ERROR] Tests run: {all}, Failures: 1, Errors: 0, Skipped: 0
[INFO]
[INFO] ------------------------------------------------------------------------
[INFO] BUILD FAILURE
[INFO] ------------------------------------------------------------------------
[INFO] Total time:  1.{t} s
[INFO] Finished at: 2026-11-23T10:11:{t}+01:00
[INFO] ------------------------------------------------------------------------
[ERROR] Failed to execute goal org.apache.maven.plugins:maven-surefire-plugin:3.2.5:test (default-test) on project \
shop: There are test failures.
[ERROR]
[ERROR] Please refer to /app/target/surefire-reports for the individual test results.
[ERROR] -> [Help 1]
[ERROR]
[ERROR] For more information about the errors and possible solutions, please read the following articles:
[ERROR] [Help 1] http://cwiki.apache.org/confluence/display/MAVEN/MojoFailureException
"""

MAVEN_OLD = """\
-------------------------------------------------------
 T E S T S
-------------------------------------------------------
Running com.example.CartTest
Tests run: {all}, Failures: 1, Errors: 0, Skipped: 0, Time elapsed: 0.{t} sec <<< FAILURE! - in com.example.CartTest
sumsThePrices(com.example.CartTest)  Time elapsed: 0.0{t} sec  <<< FAILURE!
java.lang.AssertionError: expected:<113> but was:<12>
\tat org.junit.Assert.fail(Assert.java:88)
\tat com.example.CartTest.sumsThePrices(CartTest.java:12)


Results :

Failed tests:
  CartTest.sumsThePrices:12 expected:<113> but was:<12>

Tests run: {all}, Failures: 1, Errors: 0, Skipped: 0

[INFO] BUILD FAILURE
[INFO] Total time: {t}.3 s
[INFO] Finished at: 2026-11-23T10:11:{t}+01:00
[ERROR] Failed to execute goal org.apache.maven.plugins:maven-surefire-plugin:2.22.2:test (default-test) on project shop
"""

GRADLE = """\
> Task :compileJava UP-TO-DATE
> Task :processResources NO-SOURCE
> Task :classes UP-TO-DATE
> Task :compileTestJava
> Task :testClasses

> Task :test FAILED

{noise}CartTest > sumsThePrices() FAILED
    org.opentest4j.AssertionFailedError: expected: <113> but was: <12>
        at app//org.junit.jupiter.api.AssertionFailureBuilder.build(AssertionFailureBuilder.java:151)
        at app//com.example.CartTest.sumsThePrices(CartTest.java:12)

{all} tests completed, 1 failed

FAILURE: Build failed with an exception.

* What went wrong:
Execution failed for task ':test'.
> There were failing tests. See the report at: file:///app/build/reports/tests/test/index.html

* Try:
> Run with --scan to get full insights.

BUILD FAILED in {t}s
{all} actionable tasks: {n} executed, 1 up-to-date
"""

PHPUNIT = """\
PHPUnit 10.5.2 by Sebastian Bergmann and contributors.

Runtime:       PHP 8.2.12
Configuration: /app/phpunit.xml

..F.......                                                        {all} / {all} (100%)

Time: 00:00.0{t}, Memory: {t}.00 MB

There was 1 failure:

1) Tests\\CartTest::testSumsThePrices
Failed asserting that 12 matches expected 113.

/app/tests/CartTest.php:12

FAILURES!
Tests: {all}, Assertions: {more}, Failures: 1.
"""

DOTNET = """\
  Determining projects to restore...
  All projects are up-to-date for restore.
  Shop -> /app/Shop/bin/Debug/net8.0/Shop.dll
  Shop.Tests -> /app/Shop.Tests/bin/Debug/net8.0/Shop.Tests.dll
Test run for /app/Shop.Tests/bin/Debug/net8.0/Shop.Tests.dll (.NETCoreApp,Version=v8.0)
Microsoft (R) Test Execution Command Line Tool Version 17.8.0 (x64)
Copyright (c) Microsoft Corporation.  All rights reserved.

Starting test execution, please wait...
A total of 1 test files matched the specified pattern.
[xUnit.net 00:00:00.{t}]     Shop.Tests.CartTests.SumsThePrices [FAIL]
{noise}  Failed Shop.Tests.CartTests.SumsThePrices [{t} ms]
  Error Message:
   Assert.Equal() Failure: Values differ
Expected: 113
Actual:   12
  Stack Trace:
     at Shop.Tests.CartTests.SumsThePrices() in /app/Shop.Tests/CartTests.cs:line 12
   at System.RuntimeMethodHandle.InvokeMethod(Object target, Void** arguments, Signature sig, Boolean isConstructor)

Failed!  - Failed:     1, Passed:     {n}, Skipped:     0, Total:    {all}, Duration: {t} ms - Shop.Tests.dll (net8.0)
"""

CTEST = """\
Test project /app/build
{noise}    Start 2: sums_the_prices
2/{all} Test #2: sums_the_prices ..................***Failed    0.{t} sec
    Start 3: clears_all
3/{all} Test #3: clears_all .......................   Passed    0.{t} sec

75% tests passed, 1 tests failed out of {all}

Total Test time (real) =   0.{t} sec

The following tests FAILED:
\t  2 - sums_the_prices (Failed)
Errors while running CTest
Output from these tests are in: /app/build/Testing/Temporary/LastTest.log
Use "--rerun-failed --output-on-failure" to re-run the failed cases verbosely.
"""

CTEST_ASSERT = CTEST.replace(
    "    Start 3",
    "cart_test: /app/cart_test.c:30: main: Assertion `total(cart) == 12' failed.\n    Start 3",
).replace("***Failed    0.{t}", "Subprocess aborted***Exception:   0.{t}")

CTEST_GTEST = CTEST.replace(
    "    Start 3",
    "[ RUN      ] Cart.SumsThePrices\n/app/cart_test.cc:30: Failure\nExpected equality of these values:\n"
    "  cart.total()\n    Which is: 12\n  113\n[  FAILED  ] Cart.SumsThePrices ({t} ms)\n    Start 3",
)

RSPEC = """\
..F.

Failures:

  1) Cart sums the prices
     Failure/Error: expect(cart.total).to eq(113)

       expected: 113
            got: 12

       (compared using ==)
     # ./spec/cart_spec.rb:30:in `block (2 levels) in <top (required)>'

Finished in 0.00{t} seconds (files took 0.{t} seconds to load)
{all} examples, 1 failure

Failed examples:

rspec ./spec/cart_spec.rb:30 # Cart sums the prices

Randomized with seed 1{t}5
"""

RSPEC_ERROR = """\
Failures:

  1) Cart sums the prices
     Failure/Error: items.sum(&:price)

     NoMethodError:
       undefined method `price' for nil:NilClass
     # ./lib/cart.rb:12:in `total'
     # ./spec/cart_spec.rb:30:in `block (2 levels) in <top (required)>'

Finished in 0.00{t} seconds (files took 0.{t} seconds to load)
{all} examples, 1 failure

Failed examples:

rspec ./spec/cart_spec.rb:30 # Cart sums the prices
"""

PYTEST = """\
============================= test session starts ==============================
platform linux -- Python 3.12.3, pytest-8.2.0, pluggy-1.5.0
rootdir: /app
collected {all} items

tests/test_cart.py ..F...                                                [100%]

=================================== FAILURES ===================================
____________________________ test_sums_the_prices ______________________________

    def test_sums_the_prices():
>       assert total([5, 8]) == 113
E       assert 12 == 113
E        +  where 12 = total([5, 8])

tests/test_cart.py:30: AssertionError
=========================== short test summary info ============================
FAILED tests/test_cart.py::test_sums_the_prices - assert 12 == 113
========================= 1 failed, {n} passed in 0.{t}s =========================
"""

GO = """\
{noise}--- FAIL: TestSumsThePrices (0.{t}s)
    cart_test.go:30: total() = 12, want 113
FAIL
FAIL	example.com/shop/cart	0.{t}s
FAIL
"""

CARGO = """\
   Compiling shop v0.1.0 (/app)
    Finished test [unoptimized + debuginfo] target(s) in 0.{t}s
     Running unittests src/lib.rs (target/debug/deps/shop-0c1f3a5b7d9e2468)

running {all} tests
{noise}test cart::sums_the_prices ... FAILED

failures:

---- cart::sums_the_prices stdout ----
thread 'cart::sums_the_prices' panicked at src/cart.rs:30:9:
assertion `left == right` failed
  left: 12
 right: 113
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


failures:
    cart::sums_the_prices

test result: FAILED. {n} passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.{t}s

error: test failed, to rerun pass `--lib`
"""

UNITTEST = """\
..F....
======================================================================
FAIL: test_sums_the_prices (tests.test_cart.CartTest.test_sums_the_prices)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/app/tests/test_cart.py", line 30, in test_sums_the_prices
    self.assertEqual(total([5, 8]), 113)
AssertionError: 12 != 113

----------------------------------------------------------------------
Ran {all} tests in 0.00{t}s

FAILED (failures=1)
"""

MOCHA = """\

  cart
{noise}    1) sums the prices


  {n} passing ({t}ms)
  1 failing

  1) cart
       sums the prices:

      AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:

12 !== 113

      + expected - actual

      -12
      +113

      at Context.<anonymous> (test/cart.test.js:30:14)
"""

_JEST_SAYS = "cart › sums the prices: expect(received).toBe(expected), Expected: 113, Received: 12"
_VITEST_SAYS = "src/cart.test.ts > cart > sums the prices: AssertionError: expected 12 to be 113"
_JAVA = (("12", "11"), ("sumsThePrices", "addsTheTax"))
_DOTNET_OTHERS = (("12", "11"), ("SumsThePrices", "AddsTheTax"))

RUNS = {
    "jest": Run("npx jest", JEST, f"jest fails: {_JEST_SAYS}", passing="PASS src/{name}.test.js ({t}.1 s)\n"),
    "npm test": Run(
        "npm test", f"\n> shop@1.0.0 test\n> jest\n\n{JEST}", f"npm test fails: {_JEST_SAYS}",
        passing="PASS src/{name}.test.js\n",
    ),
    "npm test, old": Run(
        "npm test", f"{JEST}npm ERR! Test failed.  See above for more details.\n", f"npm test fails: {_JEST_SAYS}"
    ),
    "vitest": Run(
        "npx vitest run", VITEST, f"vitest fails: {_VITEST_SAYS}",
        passing=" ✓ src/{name}.test.ts  (3 tests) {t}ms\n",
    ),
    "vitest 3": Run(
        "npx vitest run", VITEST_3, f"vitest fails: {_VITEST_SAYS}",
        passing=" ✓ src/{name}.test.ts (3 tests) {t}ms\n",
    ),
    "maven": Run(
        "mvn test", MAVEN,
        "mvn fails: com.example.CartTest.sumsThePrices: org.opentest4j.AssertionFailedError: "
        "expected: <113> but was: <12>",
        _JAVA,
        "[INFO] Running com.example.{name}Test\n"
        "[INFO] Tests run: 3, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.{t} s -- in com.example.{name}Test\n",
    ),
    "maven, old": Run(
        "mvn test", MAVEN_OLD,
        "mvn fails: com.example.CartTest.sumsThePrices: java.lang.AssertionError: expected:<113> but was:<12>",
        _JAVA,
    ),
    "gradle": Run(
        "./gradlew test", GRADLE,
        "gradlew fails: CartTest.sumsThePrices: org.opentest4j.AssertionFailedError: "
        "expected: <113> but was: <12>",
        _JAVA, "CartTest > {name}() PASSED\n\n",
    ),
    "phpunit": Run(
        "vendor/bin/phpunit", PHPUNIT,
        "phpunit fails: Tests\\CartTest::testSumsThePrices: Failed asserting that 12 matches expected 113.",
        _DOTNET_OTHERS,
    ),
    "dotnet": Run(
        "dotnet test", DOTNET,
        "dotnet fails: Shop.Tests.CartTests.SumsThePrices: Assert.Equal() Failure: Values differ, Expected: 113, "
        "Actual: 12",
        _DOTNET_OTHERS, "  Passed Shop.Tests.CartTests.{name} [{t} ms]\n",
    ),
    "ctest": Run(
        "ctest", CTEST, "ctest fails: sums_the_prices: Failed", (("sums_the_prices", "adds_the_tax"),),
        "    Start {n}: {name}\n{n}/{all} Test #{n}: {name} .............   Passed    0.{t} sec\n",
    ),
    "ctest, what it asserts": Run(
        "ctest --output-on-failure", CTEST_ASSERT,
        "ctest fails: sums_the_prices: cart_test: /app/cart_test.c:30: main: Assertion `total(cart) == 12' failed.",
        (("12", "11"), ("sums_the_prices", "adds_the_tax")),
    ),
    "ctest, GoogleTest": Run(
        "ctest --output-on-failure", CTEST_GTEST,
        "ctest fails: sums_the_prices: /app/cart_test.cc:30: Failure, Expected equality of these values: "
        "cart.total(), Which is: 12",
        (("12", "11"), ("113", "14"), ("sums_the_prices", "adds_the_tax")),
    ),
    "rspec": Run("bundle exec rspec", RSPEC, "rspec fails: Cart sums the prices: expected: 113, got: 12"),
    "rspec, an error": Run(
        "rspec", RSPEC_ERROR,
        "rspec fails: Cart sums the prices: NoMethodError: undefined method `price' for nil:NilClass",
        (("nil:NilClass", "an Order"), ("sums the prices", "adds the tax")),
    ),
    "pytest": Run("pytest", PYTEST, "pytest fails: assert 12 == 113", (("12", "11"), ("sums_the", "adds_the"))),
    "go": Run("go test ./...", GO, "go test fails: cart_test.go:30: total() = 12, want 113",
              (("12", "11"), ("SumsThePrices", "AddsTheTax"))),
    "cargo": Run("cargo test", CARGO, "cargo test fails: assertion `left == right` failed",
                 (("12", "11"), ("sums_the", "adds_the")), "test cart::{name} ... ok\n"),
    "unittest": Run("python -m unittest", UNITTEST, "unittest fails: AssertionError: 12 != 113",
                    (("12", "11"), ("sums_the", "adds_the"))),
    "mocha": Run("npx mocha", MOCHA, "mocha fails: ", passing="    ✔ {name} ({t}ms)\n"),
}  # fmt: skip
