"""The hand-written `_native.pyi` names what the extension has, with the same arguments."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import baken
from baken import _native

STUB = ast.parse((Path(baken.__file__).parent / "_native.pyi").read_text(encoding="utf-8"))


def stub_functions(body: list[ast.stmt]) -> dict[str, list[str]]:
    return {node.name: stub_arguments(node.args) for node in body if isinstance(node, ast.FunctionDef)}


def stub_arguments(arguments: ast.arguments) -> list[str]:
    """The names as a signature lists them: a star stands before those that are given by name alone."""
    named = [each.arg for each in arguments.kwonlyargs]
    return [each.arg for each in arguments.args] + (["*", *named] if named else [])


def native_functions(owner: object) -> dict[str, list[str]]:
    functions = {name: value for name, value in vars(owner).items() if hasattr(value, "__nb_signature__")}
    return {name: argument_names(value.__nb_signature__[0][0]) for name, value in functions.items()}


def argument_names(signature: str) -> list[str]:
    arguments = re.fullmatch(r"def \w+\((.*)\) -> .*", signature, re.DOTALL)
    if arguments is None:
        raise AssertionError(signature)
    return [part.split(":")[0].strip() for part in arguments[1].split(",") if part]


def test_the_stub_has_the_functions_of_the_module() -> None:
    assert stub_functions(STUB.body) == native_functions(_native)


@pytest.mark.parametrize("name", ["HammingIndex", "IndexFolder"])
def test_the_stub_has_the_methods_and_properties_of_each_class(name: str) -> None:
    (body,) = (node.body for node in STUB.body if isinstance(node, ast.ClassDef) and node.name == name)
    owner = getattr(_native, name)
    properties = {node.name for node in body if isinstance(node, ast.FunctionDef) and node.decorator_list}
    assert properties == {key for key, value in vars(owner).items() if isinstance(value, property)}
    stub = {key: value for key, value in stub_functions(body).items() if key not in properties}
    assert stub == native_functions(owner)


def test_everything_public_has_a_docstring_at_run_time() -> None:
    owners = (_native, _native.HammingIndex, _native.IndexFolder)
    public = [value for owner in owners for name, value in vars(owner).items() if not name.startswith("_")]
    assert len(public) >= 20
    assert all(value.__doc__ for value in public)
