"""What a value of a recipe's key may be, said as types that pydantic checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal, TypeGuard

from pydantic import AfterValidator, BeforeValidator, Field

from abprop.errors import UserError
from abprop.grammar import (
    parse_duration,
    parse_every,
    parse_latent,
    parse_range,
    parse_selection,
    parse_size,
)


def parsed_by(parse: Callable[[str], object]) -> BeforeValidator:
    """Keep the value as it is, once its text is known to parse."""

    def check(value: object) -> object:
        try:
            parse(str(value))
        except UserError as error:
            raise ValueError("must be" + str(error).rpartition("must be")[2]) from None
        return value

    return BeforeValidator(check)


def one_of(table: Mapping[str, object], *more: str) -> AfterValidator:
    """A name in a table, or one of some others."""

    def check(text: str) -> str:
        if text not in (*more, *table):
            *some, last = map(repr, (*more, *table))
            raise ValueError(f"must be {', '.join(some)} or {last}")
        return text

    return AfterValidator(check)


def number_or(word: str) -> BeforeValidator:
    """A positive number, or this word."""

    def check(value: object) -> object:
        if value == word or (_is_number(value) and 0 < value < float("inf")):
            return value
        raise ValueError(f"must be a positive number or '{word}'")

    return BeforeValidator(check)


def _unicode(text: str) -> str:
    """A name with bytes that are no UTF-8 reaches Python as text that no file can hold."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("must be valid Unicode; rename it")
    return text


def _as_text(value: object) -> object:
    """100 and 64 are typed as numbers where a text is kept."""
    return str(value) if _is_number(value) else value


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _latent(text: str) -> None:
    if text != "auto":
        parse_latent(text)


Text = Annotated[str, AfterValidator(_unicode)]
Latent = Annotated[str, parsed_by(_latent), BeforeValidator(_as_text)]
Duration = Annotated[str, parsed_by(parse_duration), BeforeValidator(_as_text)]
EverySo = Annotated[str | int, parsed_by(parse_every)]
Size = Annotated[str, parsed_by(parse_size), BeforeValidator(_as_text)]
Select = Annotated[str, parsed_by(parse_selection), BeforeValidator(_as_text)]
Range = Annotated[str, parsed_by(parse_range)]
Sigma = Annotated[float | Literal["learned"], number_or("learned")]
StepSize = Annotated[float | Literal["adapt"], number_or("adapt")]
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
