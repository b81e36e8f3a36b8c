"""How well the embedded model reads a text. Of the languages that it learnt it knows most words; others it spells, and
what it makes of them is near to anything."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

WELL, BADLY = 1.3, 2.6
"""Pieces that a word is read in. Of a question in English, Russian and Arabic it is 1.1 to 1.6, in Romanian 2.0, in
Vietnamese 2.5, in Greek and Hindi more than 4."""
LEAST = 0.1
"""Of a text that it does not read at all: what nothing else finds is still found."""

_BEGINS = "▁"
_OTHER = re.compile("[\\d\u0e00-\u0e7f\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
"""Numbers are read digit by digit; and Thai, Chinese, Japanese and Korean, which it learnt, not by such words."""


class Fluency:
    def __init__(self, pieces: Sequence[str]) -> None:
        """`pieces`: what each token of the model's stands for."""
        self._pieces = pieces

    def of(self, tokens: Sequence[int]) -> float:
        """1: it knows these words."""
        words = pieces = 0
        within, other = 0, False
        for token in (*tokens, None):
            piece = _BEGINS if token is None else self._pieces[token]
            begins, letters, foreign = _read(piece)
            if begins:
                if within and not other:
                    words, pieces = words + 1, pieces + within
                within, other = 0, False
            within += letters
            other = other or foreign
        if not words:
            return 1.0
        return max(LEAST, min(1.0, 1 - (pieces / words - WELL) / (BADLY - WELL)))


@lru_cache(maxsize=5_000)
def _read(piece: str) -> tuple[bool, bool, bool]:
    """Whether a word begins with it, whether there are letters in it, and whether it says nothing of the language."""
    letters = any(unicodedata.category(character)[0] in "LM" for character in piece)
    begins = piece.startswith(_BEGINS) or not (letters or piece[:1].isdigit())
    return begins, letters, _OTHER.search(piece) is not None


__all__ = ["Fluency"]
