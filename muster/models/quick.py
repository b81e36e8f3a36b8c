"""The embedded model, for texts as short as a query.

What its first two layers make of a token depends on no other token: the second only adds up what each neighbour gives.
So both are kept for the tokens that were met last, and a query pays for the rest of the model alone. Of that, reading
the matrices takes longer than multiplying them: those that are multiplied by the same row stand side by side, and two
with nothing between them are one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

MOST_TOKENS = 32
"""In more, the library's own way is as quick: it multiplies whole matrices."""
_KEPT = 2048
"""Tokens: 15 KB each."""
_WIDE, _BRANCH = 512, 256
"""Of an embedding, and of what each branch of n-grams makes of it."""
_INNER = 320
"""Of what stands between the mean of all tokens and the vector."""
_BRANCHES = ((2, 0), (3, 1), (5, 2))
"""How many tokens each looks at, and how many of them are before its own."""


class Blocks:
    """A matrix that is multiplied by a few rows, by blocks of its columns.

    BLAS copies a matrix into an order of its own before each product, which for so few rows takes longer than the
    product. Blocks this small it takes as they lie.
    """

    COLUMNS = 32

    __array_ufunc__ = None  # numpy leaves `rows @ this` to this

    def __init__(self, whole: Any) -> None:
        self._blocks = whole.reshape(len(whole), -1, self.COLUMNS).transpose(1, 0, 2).copy()

    def __rmatmul__(self, rows: Any) -> Any:
        return (rows[None] @ self._blocks).transpose(1, 0, 2).reshape(len(rows), -1)


class Quick:
    """Vectors of short texts, the same as the model's own but for the last digit."""

    def __init__(self, model: Any) -> None:
        """`model` is the library's backend, whose weights and table these are."""
        self._model = model
        self._first = Blocks(model.proj_W)
        self._second = [Blocks(_side_by_side(one)) for one in model.w1]
        self._third = [Blocks(_side_by_side(one)) for one in model.w2]
        first = np.concatenate([model.p1, model.d0], axis=1)
        inner = model.cnn_W @ first
        self._inner = model.ln_g[:, None] * inner
        self._inner_shift = model.ln_b @ inner + model.cnn_b @ first
        self._outer = np.concatenate([model.p3, model.d2], axis=1)
        given = sum(reach for reach, _ in _BRANCHES) * _BRANCH
        # Rows: the embedding, the first layer, and what the token gives to each place of each branch's window.
        self._rows = np.empty((_KEPT, _WIDE + len(_BRANCHES) * _BRANCH + given), np.float32)
        self._places: OrderedDict[int, int] = OrderedDict()

    def vector(self, tokens: list[int]) -> Any:
        model, count = self._model, len(tokens)
        rows = self._rows[self._placed(tokens)]
        features = np.empty((count, _WIDE + len(_BRANCHES) * _BRANCH), np.float32)
        features[:, :_WIDE] = rows[:, :_WIDE]
        given = _WIDE + len(_BRANCHES) * _BRANCH
        for branch, (reach, before) in enumerate(_BRANCHES):
            own = slice(_WIDE + branch * _BRANCH, _WIDE + (branch + 1) * _BRANCH)
            second = _added_up(rows[:, given : given + reach * _BRANCH], reach, before)
            given += reach * _BRANCH
            second += model.b1[branch]
            np.maximum(second, 0, out=second)
            second += rows[:, own]
            third = _added_up(second @ self._third[branch], reach, before)
            third += model.b2[branch]
            np.maximum(third, 0, out=third)
            third += second
            features[:, own] = third
        middle = features.mean(axis=1)
        spread = np.einsum("ij,ij->i", features, features) / features.shape[1] - middle * middle
        scale = np.reciprocal(np.sqrt((spread + model.eps) * count))
        both = (scale @ features - scale @ middle) @ self._inner
        both += np.sqrt(np.float32(count)) * self._inner_shift
        inner = both[:_INNER] + np.maximum(both[_INNER:], 0) @ model.d1
        np.maximum(inner, 0, out=inner)
        both = inner @ self._outer
        outer = both[:_WIDE] + np.maximum(both[_WIDE:], 0) @ model.d3
        np.tanh(outer, out=outer)
        outer /= np.sqrt(max(outer @ outer, model.eps))
        return outer

    def _placed(self, tokens: list[int]) -> list[int]:
        """Where their rows are, those of tokens that were not kept made now."""
        new = [token for token in dict.fromkeys(tokens) if token not in self._places]
        for token in tokens:
            if token in self._places:
                self._places.move_to_end(token)
        if new:
            made = self._made(new)
            for token, row in zip(new, made, strict=True):
                place = self._places.popitem(last=False)[1] if len(self._places) == _KEPT else len(self._places)
                self._rows[place] = row
                self._places[token] = place
        return [self._places[token] for token in tokens]

    def _made(self, tokens: list[int]) -> Any:
        model = self._model
        numbers = np.array(tokens)
        chunk = numbers % len(model.scale)
        embedding = model.table[numbers] * model.scale[chunk, None]
        embedding += model.lo[chunk, None]
        first = embedding @ self._first + model.proj_b
        _normalize(first, model.ln_g_all, model.ln_b_all, model.eps)
        given = [
            first[:, branch * _BRANCH : (branch + 1) * _BRANCH] @ second for branch, second in enumerate(self._second)
        ]
        return np.concatenate([embedding, first, *given], axis=1)


def _side_by_side(window: Any) -> Any:
    """The parts of a matrix that are for one place of the window each, which lie one below the other."""
    return np.concatenate([window[at : at + _BRANCH] for at in range(0, len(window), _BRANCH)], axis=1)


def _added_up(given: Any, reach: int, before: int) -> Any:
    """For each token what its neighbours give to their places in its window, where there are any."""
    count = len(given)
    found = given[:, before * _BRANCH : (before + 1) * _BRANCH].copy()
    for place in range(reach):
        part, away = given[:, place * _BRANCH : (place + 1) * _BRANCH], place - before
        if 0 < away < count:
            found[: count - away] += part[away:]
        elif 0 < -away < count:
            found[-away:] += part[: count + away]
    return found


def _normalize(rows: Any, gain: Any, shift: Any, eps: float) -> None:
    rows -= rows.mean(axis=-1, keepdims=True)
    spread = np.einsum("ij,ij->i", rows, rows) / rows.shape[-1]
    rows *= np.reciprocal(np.sqrt(spread + eps))[:, None]
    rows *= gain
    rows += shift


__all__ = ["MOST_TOKENS", "Quick"]
