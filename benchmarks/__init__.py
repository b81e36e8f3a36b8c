"""Measures Muster beside bare yardsticks and prints a table. May import anything; nothing imports it."""
