"""The yardsticks: the same shapes without Muster; and, in `unguarded.py`, Muster without its guards."""
