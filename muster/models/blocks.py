"""Multiplying little by much."""

from __future__ import annotations

from typing import Any


class Blocks:
    """A matrix that is multiplied by a few rows, those of a query: by blocks of its columns.

    BLAS copies a matrix into an order of its own before each product, which for so few rows takes longer than the
    product. Blocks this small it takes as they lie: a query takes a third to a half less. What has more rows, which are
    worth the copy, is multiplied by the whole.
    """

    ROWS, COLUMNS = 32, 32

    __array_ufunc__ = None  # numpy leaves `rows @ this` to this

    def __init__(self, whole: Any) -> None:
        self._whole = whole
        self._blocks = whole.reshape(len(whole), -1, self.COLUMNS).transpose(1, 0, 2).copy()

    def __rmatmul__(self, rows: Any) -> Any:
        if len(rows) > self.ROWS:
            return rows @ self._whole
        return (rows[None] @ self._blocks).transpose(1, 0, 2).reshape(len(rows), -1)
