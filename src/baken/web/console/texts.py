"""The console's languages: catalogues in gettext's PO format, read once, and which one a browser wants."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files

from babel import Locale, negotiate_locale
from babel.dates import format_datetime
from babel.messages.pofile import read_po

LANGUAGES = {"en": "English", "nl": "Nederlands", "fr": "Français", "de": "Deutsch"}
"""The languages there are, by what each calls itself. The texts in the code are the English ones."""

_MAX_HEADER_CHARACTERS = 200

Translate = Callable[[str], str]


@functools.cache
def translations(language: str) -> dict[str, str]:
    """The texts of a language by the English ones; empty for English."""
    if language == "en":
        return {}
    texts: dict[str, str] = {}
    parts = (files("baken.web.console") / "locales" / language).iterdir()
    for part in sorted(parts, key=lambda part: part.name):  # each for some pages; a text stands in one of them
        with part.open("rb") as file:
            catalogue = read_po(file, locale=language)
        texts |= {str(message.id): str(message.string) for message in catalogue if message.id and message.string}
    return texts


def translator(language: str) -> Translate:
    """What gives a text in the language; the English one where it is not translated, which a test does not allow."""
    known = translations(language)
    return lambda text: known.get(text, text)


def language_of(chosen: str | None, accepted: str | None) -> str:
    """The language a person chose, else the first that the browser accepts and there is, else English."""
    if chosen in LANGUAGES:
        return chosen
    wanted = [part.partition(";")[0].strip() for part in (accepted or "")[:_MAX_HEADER_CHARACTERS].split(",")]
    return negotiate_locale([each for each in wanted if each], list(LANGUAGES), sep="-") or "en"


def when(time: datetime | None, language: str) -> str:
    """A time as the language writes it, in UTC, which everyone who reads the audit log shares."""
    if time is None:
        return ""
    return format_datetime(time.astimezone(UTC), "medium", locale=Locale.parse(language)) + " UTC"


def fill(text: str, /, **values: object) -> str:
    """A text with what belongs into its `{places}`; the values are not escaped, which templates do."""
    return text.format(**values)
