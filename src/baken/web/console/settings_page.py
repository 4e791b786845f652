"""The settings as this server reads them, for those who change them: where the service runs, not here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup, escape
from starlette.responses import Response

from baken.settings import CONFIG_FILE_NAME, SECRET_NAMES, Settings, given_in_file
from baken.web.console.pages import Pages
from baken.web.console.visits import Visit
from baken.web.service import Service

_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_CODE = re.compile(r"`([^`]*)`")


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """A setting as the page shows it. `value` is None for one that is not given, and for a secret, given or not."""

    name: str
    value: str | None
    is_secret: bool
    is_given: bool
    origin: str | None
    default: str | None
    description: Markup


class SettingsPage:
    """Every setting: its value, where that comes from, and what it is for."""

    def __init__(self, service: Service, pages: Pages) -> None:
        self._run = service.store_pool.run
        self._pages = pages
        self._settings = service.baken.settings

    async def show(self, visit: Visit) -> Response:
        """The table, those that somebody gave first."""
        in_file = await self._run(given_in_file, self._settings)
        shown = [_shown(self._settings, name, is_in_file=name in in_file) for name in Settings.model_fields]
        return self._pages.render(
            visit,
            "settings.html",
            given=[each for each in shown if each.is_given],
            others=[each for each in shown if not each.is_given],
        )


def _shown(settings: Settings, name: str, *, is_in_file: bool) -> ShownSetting:
    field = Settings.model_fields[name]
    is_secret = name in SECRET_NAMES
    return ShownSetting(
        name=name,
        value=None if is_secret else _text(getattr(settings, name)),
        is_secret=is_secret,
        is_given=name in settings.model_fields_set and getattr(settings, name) is not None,
        origin=CONFIG_FILE_NAME if is_in_file else None,
        default=None if is_secret else _text(field.default),
        description=_description(field.description or ""),
    )


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _description(text: str) -> Markup:
    """The description, which is Markdown for the reference page: its code as code, its links as their words."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(_LINK.sub(r"\1", text)))))  # noqa: S704 - escaped before
