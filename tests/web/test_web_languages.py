"""The console's languages: which one a browser gets, and that no text lacks a translation."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po

from baken import assemble
from baken.web.console import texts
from baken.web.console.texts import LANGUAGES, ago, counter, language_of, number

SOURCES = Path(assemble.__file__).parent / "web" / "console"
KEYWORDS = {**DEFAULT_KEYWORDS, "_n": (1, 2)}
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def forms(text: str | tuple[str, ...]) -> tuple[str, ...]:
    """The text, or the texts for one and for several."""
    return (text,) if isinstance(text, str) else text


def test_the_browsers_language_is_taken_unless_one_was_chosen():
    assert language_of(None, "fr-BE,fr;q=0.9,en;q=0.8") == "fr"
    assert language_of("nl", "fr") == "nl"
    assert language_of("xx", "es, de;q=0.5") == "de"
    for nothing in (None, "", "*", ",;", "x" * 10_000):
        assert language_of(None, nothing) == "en"


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_no_text_lacks_a_translation_and_none_is_left_over(language: str):
    methods = [("**.py", "python"), ("templates/**.html", "jinja2.ext.babel_extract")]
    found = extract_from_dir(str(SOURCES), method_map=methods, keywords=KEYWORDS)
    used = {message for _, _, message, _, _ in found}
    catalogue: dict[str, Message] = {}
    for part in sorted((SOURCES / "locales" / language).glob("*.po")):
        with part.open("rb") as file:
            messages = [message for message in read_po(file, locale=language) if message.id]
        assert not {message.id for message in messages} & set(catalogue), f"{part.name} repeats another part"
        catalogue |= {message.id: message for message in messages}

    assert set(catalogue) == used
    assert len(used) > 90
    for message in catalogue.values():
        assert not message.fuzzy
        given, translated = forms(message.id), forms(message.string)
        assert len(given) == len(translated), message.id
        for text, own in zip(given, translated, strict=True):
            assert own, message.id
            assert (own.count("%s"), own.count("%d")) == (text.count("%s"), text.count("%d")), message.id
            assert own[-1:] in ".:" or text[-1:] not in ".:", message.id


def test_a_number_of_things_is_said_as_each_language_says_it(monkeypatch: pytest.MonkeyPatch):
    cases = {"nl": ("%d zaak", "%d zaken"), "fr": ("%d dossier", "%d dossiers"), "de": ("%d Fall", "%d Fälle")}
    known = {language: {"%d case": own} for language, own in cases.items()} | {"en": {}}
    monkeypatch.setattr(texts, "translations", known.get)
    said = {language: [counter(language)("%d case", "%d cases", n) for n in (0, 1, 2, 1234)] for language in LANGUAGES}

    assert said["en"] == ["0 cases", "1 case", "2 cases", "1,234 cases"]
    assert said["nl"] == ["0 zaken", "1 zaak", "2 zaken", "1.234 zaken"]
    assert said["fr"] == ["0 dossier", "1 dossier", "2 dossiers", "1\u202f234 dossiers"]
    assert said["de"] == ["0 Fälle", "1 Fall", "2 Fälle", "1.234 Fälle"]


def test_a_time_is_said_by_its_distance_from_now():
    said = {language: ago(NOW - timedelta(hours=3), NOW, language) for language in LANGUAGES}

    assert said == {"en": "3 hr. ago", "nl": "3 uur geleden", "fr": "il y a 3\xa0h", "de": "vor 3 Std."}
    assert ago(NOW + timedelta(minutes=12), NOW, "en") == "in 12 min."
    assert number(1234.56, "nl") == "1.234,6"


def test_templates_say_nothing_that_is_not_translated():
    for path in sorted((SOURCES / "templates").glob("*.html")):
        text = re.sub(
            r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<[^>]*>|<!doctype html>", " ", path.read_text(), flags=re.DOTALL
        )
        words = set(re.findall(r"[A-Za-z]{2,}", text)) - {"Baken"}
        assert not words, path.name
