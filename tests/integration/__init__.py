"""The whole system, as it is started and used."""

import pytest

pytest.register_assert_rewrite("tests.integration.fleet")
