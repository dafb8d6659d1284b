"""Pictures to read, and the promise about those that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from abprop.data import read
from abprop.errors import UserError


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def colours(random: np.random.Generator) -> np.ndarray:
    """Five RGB pictures, uint8 (5, 12, 16, 3)."""
    return random.integers(0, 256, (5, 12, 16, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path, colours: np.ndarray) -> Path:
    """The five pictures as PNG."""
    path = tmp_path / "pictures"
    path.mkdir()
    for i, picture in enumerate(colours):
        Image.fromarray(picture).save(path / f"p{i}.png")
    return path


@pytest.fixture
def refused() -> Callable[..., str]:
    """Reads a source that must be refused: one line that holds each of the given words."""

    def check(source: object, *words: str, **options: object) -> str:
        with pytest.raises(UserError) as caught:
            read(source, **options)  # type: ignore[arg-type]
        message = str(caught.value)
        assert message.isprintable(), message  # no newline, no escape sequence
        assert [word for word in words if word not in message] == [], message
        return message

    return check
