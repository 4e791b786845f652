"""The console's languages: catalogues in gettext's PO format, read once, and which one a browser wants."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files

from babel import Locale, negotiate_locale
from babel.dates import format_datetime, format_timedelta
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

LANGUAGES = {"en": "English", "nl": "Nederlands", "fr": "Français", "de": "Deutsch"}
"""The languages there are, by what each calls itself. The texts in the code are the English ones."""

_MAX_HEADER_CHARACTERS = 200

Translate = Callable[[str], str]
Count = Callable[[str, str, float], str]
"""Given the text for one, the text for several and how many: the text of that many, with the number where `%d` is."""

_Texts = dict[str, tuple[str, ...]]


@functools.cache
def _locale(language: str) -> Locale:
    return Locale.parse(language)  # a page has a hundred times and numbers, and reading it takes as long as one of them


@functools.cache
def translations(language: str) -> _Texts:
    """The texts of a language by the English ones: one each, or one each for one and several; empty for English."""
    if language == "en":
        return {}
    texts: _Texts = {}
    parts = (files("baken.web.console") / "locales" / language).iterdir()
    for part in sorted(parts, key=lambda part: part.name):  # each for some pages; a text stands in one of them
        with part.open("rb") as file:
            catalogue = read_po(file, locale=language)
        for message in catalogue:
            if message.id and message.string:
                ids, strings = _each(message.id), _each(message.string)
                texts[ids[0]] = strings
    return texts


def _each(text: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


def translator(language: str) -> Translate:
    """What gives a text in the language; the English one where it is not translated, which a test does not allow."""
    known = translations(language)
    return lambda text: known.get(text, (text,))[0]


def counter(language: str) -> Count:
    """What gives a text about a number of things in the language.

    All our languages have one form for one (which is 0 as well in French) and one for several.
    """
    known, locale = translations(language), _locale(language)

    def count(one: str, several: str, how_many: float) -> str:
        forms = known.get(one, (one, several))
        form = forms[0 if locale.plural_form(how_many) == "one" else -1]
        return form.replace("%d", number(how_many, language))

    return count


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
    return format_datetime(time.astimezone(UTC), "medium", locale=_locale(language)) + " UTC"


def fill(text: str, /, **values: object) -> str:
    """A text with what belongs into its `{places}`; the values are not escaped, which templates do."""
    return text.format(**values)


def ago(time: datetime, now: datetime, language: str) -> str:
    """How long ago a time was, or how soon it is, as the language says it in short."""
    return format_timedelta(time - now, add_direction=True, format="short", locale=_locale(language))


def number(value: float, language: str) -> str:
    """A number as the language writes it, with at most one decimal."""
    return format_decimal(value, format="#,##0.#", locale=_locale(language))
