"""What a worker answers, as bytes: decoded by the type that the job promises, never unpickled.

A worker that a hostile file has taken over can send anything. Unpickling would let it run code in the process that
asked; here it can at most say something wrong about a file.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

MAX_ANSWER_BYTES = 64 << 20
"""A longer answer is none: the process that asked would have to hold it."""

_DTYPES = frozenset({"|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f4", "<f8"})


class AnswerDecoder:
    """Decodes the answers of one job."""

    def __init__(self, job: Callable[..., Any]) -> None:
        """Make it for a function, or an object with `__call__`, whose result is annotated with plain types.

        Plain types are numbers, text, bytes, enums, dates, containers, arrays of numpy and dataclasses of them.

        Raises:
            TypeError: the job does not say what it gives, or gives what is not plain.
        """
        promised = typing.get_type_hints(function_of(job))
        if "return" not in promised:
            message = f"the job {job!r} does not say what it gives, expected an annotation of its result"
            raise TypeError(message)
        self._decoder = msgspec.msgpack.Decoder(promised["return"], dec_hook=_array)

    def decode(self, answer: bytes) -> Any:  # noqa: ANN401 - it is of the type that the job promises
        """The result.

        Raises:
            ValueError: the bytes are no such result.
        """
        return self._decoder.decode(answer)


def function_of(job: Callable[..., Any]) -> Callable[..., Any]:
    """The function that runs when a job is called: the same for all jobs whose answers are of one type."""
    called = job.func if isinstance(job, functools.partial) else job
    return called if hasattr(called, "__code__") else type(called).__call__


def encode(result: object) -> bytes:
    """A result as bytes.

    Raises:
        TypeError: it holds something that is not plain.
    """
    return msgspec.msgpack.encode(result, enc_hook=_plain)


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, np.generic):
        return value.item()
    message = f"a {type(value).__name__} is nothing that a worker may answer"
    raise TypeError(message)


def _array(wanted: type, given: Any) -> object:  # noqa: ANN401 - it came from a worker and may be anything
    if (typing.get_origin(wanted) or wanted) is not np.ndarray:
        message = f"a {wanted} is nothing that a worker may answer"
        raise NotImplementedError(message)
    match given:
        case [str(dtype), [*shape], bytes(values)] if dtype in _DTYPES and all(isinstance(n, int) for n in shape):
            return np.frombuffer(values, np.dtype(dtype)).reshape([max(0, n) for n in shape]).copy()
    message = "an array is not as arrays are sent"
    raise ValueError(message)
