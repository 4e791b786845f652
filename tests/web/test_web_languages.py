"""The console's languages: which one a browser gets, and that no text lacks a translation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from baken import assemble
from baken.web.console.texts import LANGUAGES, language_of

SOURCES = Path(assemble.__file__).parent / "web" / "console"


def test_the_browsers_language_is_taken_unless_one_was_chosen():
    assert language_of(None, "fr-BE,fr;q=0.9,en;q=0.8") == "fr"
    assert language_of("nl", "fr") == "nl"
    assert language_of("xx", "es, de;q=0.5") == "de"
    for nothing in (None, "", "*", ",;", "x" * 10_000):
        assert language_of(None, nothing) == "en"


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_no_text_lacks_a_translation_and_none_is_left_over(language: str):
    methods = [("**.py", "python"), ("templates/**.html", "jinja2.ext.babel_extract")]
    used = {found[2] for found in extract_from_dir(str(SOURCES), method_map=methods)}
    catalogue: dict[str, Message] = {}
    for part in sorted((SOURCES / "locales" / language).glob("*.po")):
        with part.open("rb") as file:
            messages = [message for message in read_po(file, locale=language) if message.id]
        assert not {message.id for message in messages} & set(catalogue), f"{part.name} repeats another part"
        catalogue |= {message.id: message for message in messages}

    assert set(catalogue) == used
    assert len(used) > 90
    for message in catalogue.values():
        assert message.string, message.id
        assert not message.fuzzy
        assert str(message.string).count("%s") == message.id.count("%s")
        assert str(message.string)[-1:] in ".:" or message.id[-1:] not in ".:", message.id


def test_templates_say_nothing_that_is_not_translated():
    for path in sorted((SOURCES / "templates").glob("*.html")):
        text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|<[^>]*>|<!doctype html>", " ", path.read_text(), flags=re.DOTALL)
        words = set(re.findall(r"[A-Za-z]{2,}", text)) - {"Baken"}
        assert not words, path.name
