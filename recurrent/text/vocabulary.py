"""The characters a model knows, and the text it does not."""

from __future__ import annotations

import json
from typing import Literal, get_args

import torch
from torch import Tensor

UnknownPolicy = Literal["error", "skip", "replace"]

_FORMAT = "recurrent vocabulary"


class UnknownCharacterError(ValueError):
    """A text holds a character that the vocabulary lacks; the message names it, its place and the way out."""


class Vocabulary:
    """Characters and their ids, 0 to V - 1, in the order of their code points.

    Args:
        characters: Each once.

    Raises:
        ValueError: If there is none, or one comes twice.

    Example:
        >>> vocabulary = Vocabulary.from_text("hello")
        >>> vocabulary.characters, vocabulary.encode("hole").tolist()
        ('ehlo', [1, 3, 2, 0])
        >>> vocabulary.decode([1, 0])
        'he'
    """

    def __init__(self, characters: str) -> None:
        if not characters:
            raise ValueError("a vocabulary needs at least one character, got none")
        if len(set(characters)) != len(characters):
            twice = next(char for char in characters if characters.count(char) > 1)
            raise ValueError(f"every character comes once in a vocabulary, got {twice!r} twice")
        self.characters = "".join(sorted(characters))
        self._ids = {char: number for number, char in enumerate(self.characters)}
        self._codes = _code_points(self.characters)

    @classmethod
    def from_text(cls, text: str) -> Vocabulary:
        """The characters of ``text``."""
        return cls("".join(set(text)))

    def __len__(self) -> int:
        return len(self.characters)

    def __contains__(self, char: str) -> bool:
        return char in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and other.characters == self.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    def __repr__(self) -> str:
        return f"Vocabulary({self.characters!r})"

    def ids(self, characters: str) -> tuple[int, ...]:
        """The ids of those of ``characters`` that are known."""
        return tuple(self._ids[char] for char in characters if char in self._ids)

    @property
    def replacement(self) -> str:
        """What ``unknown="replace"`` puts in place of a character: a space where there is one, else the first."""
        return " " if " " in self else self.characters[0]

    def encode(self, text: str, *, unknown: UnknownPolicy = "error") -> Tensor:
        """``text`` as ids, int64 of shape ``[len(text)]``, less where characters are skipped.

        Args:
            text: Any text.
            unknown: What to do with a character outside the vocabulary: ``"error"``, ``"skip"`` it, or
                ``"replace"`` it by :attr:`replacement`.

        Raises:
            UnknownCharacterError: At the first unknown character, under ``"error"``.
            ValueError: If ``unknown`` is none of the three.
        """
        if unknown not in get_args(UnknownPolicy):
            raise ValueError(f"unknown must be one of {', '.join(get_args(UnknownPolicy))}, got {unknown!r}")
        if not text:
            return torch.empty(0, dtype=torch.int64)
        codes = _code_points(text)
        ids = torch.searchsorted(self._codes, codes).clamp_(max=len(self) - 1)
        known = self._codes[ids] == codes
        if bool(known.all()):
            return ids
        if unknown == "skip":
            return ids[known]
        if unknown == "replace":
            return torch.where(known, ids, self._ids[self.replacement])
        place = int((~known).int().argmax())
        raise UnknownCharacterError(
            f"the character {text[place]!a} at position {place} is not in the vocabulary of {len(self)} characters; "
            'leave it out, or say unknown="skip" or unknown="replace"'
        )

    def decode(self, ids: Tensor | list[int]) -> str:
        """Ids as text.

        Raises:
            ValueError: If an id is out of range.
        """
        numbers = ids.tolist() if isinstance(ids, Tensor) else ids
        for number in numbers:
            if not 0 <= number < len(self):
                raise ValueError(f"ids run from 0 to {len(self) - 1}, got {number}")
        return "".join(self.characters[number] for number in numbers)

    def to_json(self) -> str:
        """As text that :meth:`from_json` reads, in ASCII."""
        return json.dumps({"format": _FORMAT, "version": 1, "characters": self.characters}, indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Vocabulary:
        """What :meth:`to_json` wrote.

        Raises:
            ValueError: If it is anything else.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"a vocabulary is a JSON document, got none ({error})") from None
        if not isinstance(content, dict) or content.get("format") != _FORMAT or content.get("version") != 1:
            raise ValueError(f'a vocabulary says "format": "{_FORMAT}" and "version": 1; this document does not')
        characters = content.get("characters")
        if not isinstance(characters, str):
            raise ValueError(f"a vocabulary's characters are one string, got {type(characters).__name__}")
        return cls(characters)


def _code_points(text: str) -> Tensor:
    # surrogatepass: what a terminal could not decode arrives as lone surrogates; they are unknown, not an error
    return torch.frombuffer(bytearray(text.encode("utf-32-le", "surrogatepass")), dtype=torch.int32)
