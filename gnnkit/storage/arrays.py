"""Arrays over bytes of which a file declares the type and the shape, and may lie."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX_SIDE = 2**40  # so that even an array without any entry has sizes numpy can hold


def array_from_buffer(
    buffer: bytes | memoryview, dtype: np.dtype[Any], shape: tuple[int, ...], *, fortran: bool
) -> NDArray[Any]:
    """A read-only array over ``buffer``, without a copy.

    Raises:
        ValueError: If the shape has more than two axes or does not match the bytes present.
    """
    import numpy as np

    if len(shape) > 2 or any(not 0 <= side <= _MAX_SIDE for side in shape):
        raise ValueError(f"the array shape {shape} is not that of a vector or a matrix")
    expected = math.prod(shape) * dtype.itemsize
    if expected != len(buffer):
        raise ValueError(f"an array of shape {shape} needs {expected} bytes, the file holds {len(buffer)}")
    if expected == 0:
        return np.zeros(shape, dtype)
    return np.frombuffer(buffer, dtype).reshape(shape, order="F" if fortran else "C")
