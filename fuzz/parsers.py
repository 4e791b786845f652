"""Atheris on our own parsers of bytes: inputs that reach new lines of them, and nothing but the errors they promise.

`python -m fuzz.parsers -runs=200000 -seed=1 build/fuzz/parsers`: arguments are libFuzzer's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType

import atheris

from baken.images import sniffing
from baken.images.animation import read_animation
from baken.images.bmp import read_bmp
from baken.images.colour import correction_of, inflated
from baken.images.decoding import attempt
from baken.images.exif import orientation_of
from baken.images.gif import read_gif
from baken.images.heif import read_heif, read_pictures
from baken.images.jpeg import read_jpeg
from baken.images.png import read_png
from baken.images.sequence import read_sequence
from baken.images.tiff import page_offsets, read_page, read_tiff
from baken.images.webp import read_webp
from fuzz.corpus import seeds

PARSERS: dict[str, Callable[[bytes], object]] = {
    "bmp": read_bmp,
    "gif": lambda data: (read_gif(data), read_animation(data, "gif")),
    "jpeg": read_jpeg,
    "png": lambda data: (read_png(data), read_animation(data, "png")),
    "tiff": lambda data: (read_tiff(data), [read_page(data, at) for at in page_offsets(data)[:4]]),
    "webp": lambda data: (read_webp(data), read_animation(data, "webp")),
    "avif": lambda data: (read_heif(data), read_sequence(data)),
    "heic": lambda data: (read_heif(data), [make() for make in read_pictures(data)[:4]]),
}


def parsing_functions() -> Iterator[FunctionType]:
    """The functions and methods of `baken.images`, those that are written in Python."""
    modules = [module for name, module in sys.modules.items() if name.startswith("baken.images")]
    for module in modules:
        for found in vars(module).values():
            if getattr(found, "__module__", None) != module.__name__:
                continue
            for each in (found, *(vars(found).values() if isinstance(found, type) else ())):
                function = getattr(each, "__func__", each)  # of a class method or a static one
                if isinstance(function, FunctionType):
                    yield function


def one_input(data: bytes) -> None:
    """Every parser that the start of the bytes leads to; what they raise beyond their errors ends the run."""
    orientation_of(data)
    sniffing.describe(data)
    inflated(data)
    correction_of(data)
    name = sniffing.picture_format(data)
    if name is not None:
        attempt(name, lambda: PARSERS[name](data))


def main() -> None:
    """Write the seed files where libFuzzer looks for them, and start it."""
    # One by one, because atheris.instrument_imports() quietly sees nothing of a package that is installed to be edited.
    for function in parsing_functions():
        atheris.instrument_func(function)
    folders = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    for folder in folders[:1]:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds():
            (folder / name).write_bytes(data)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
