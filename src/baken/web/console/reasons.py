"""Why something is done to a case: reasons to choose from, and words of one's own.

What is kept is a code that every language can show, with the person's own words behind it: `same_scene: the same wall`.
"""

from __future__ import annotations

from collections.abc import Mapping

from baken.cases import DecisionKind
from baken.errors import InvalidValueError
from baken.web.console.texts import Translate

MAX_CHARACTERS = 1000


def decision_reasons(_: Translate) -> Mapping[DecisionKind, Mapping[str, str]]:
    """The reasons that each decision offers, by their codes."""
    return {
        DecisionKind.CONFIRMED: {
            "same_file": _("It is the very same file"),
            "facts_suffice": _("The facts suffice; no picture was needed"),
            "recognised": _("Seen and recognised"),
        },
        DecisionKind.NOT_A_MATCH: {
            "other_picture": _("Another picture altogether"),
            "same_scene": _("The same place or motif, another picture"),
            "plain_entry": _("The entry is too plain or wrong"),
        },
        DecisionKind.ALLOWED: {
            "has_consent": _("Whoever is shown, or their parents, agreed"),
            "own_account": _("It is the account of whoever registered it"),
            "lawful_context": _("News, teaching or another lawful use"),
        },
        DecisionKind.CANNOT_TELL: {
            "too_little": _("Too little is known"),
            "no_picture": _("No picture is at hand"),
        },
        DecisionKind.REFER: {
            "law_says_so": _("The law leaves it to others"),
            "needs_expert": _("It needs somebody trained for it"),
            "danger_now": _("Somebody may be in danger now"),
        },
    }


def hold_reasons(_: Translate) -> Mapping[str, str]:
    """Why a case may wait, by code."""
    return {
        "awaits_platform": _("Waiting for the platform"),
        "awaits_source": _("Waiting for the source of the list"),
        "awaits_expert": _("Waiting for somebody's advice"),
        "break": _("I want to look at it with fresh eyes"),
    }


def joined(code: str, words: str) -> str:
    """A reason as it is kept: the code, the person's own words, or both.

    Raises:
        InvalidValueError: neither was given, or the words are too many.
    """
    own = " ".join(words.split())
    if len(own) > MAX_CHARACTERS:
        message = f"the reason has {len(own)} characters, at most {MAX_CHARACTERS} are taken"
        raise InvalidValueError(message, hint="Say it shorter.")
    if not code and not own:
        raise InvalidValueError("no reason was given", hint="Choose one, or write your own.")
    return f"{code}: {own}" if code and own else code or own


def reason_words(reason: str, _: Translate) -> str:
    """A reason as it is shown; whatever is none of our codes is somebody's own words."""
    known = {code: text for reasons in decision_reasons(_).values() for code, text in reasons.items()}
    known |= hold_reasons(_)
    code, _colon, own = reason.partition(": ")
    if code not in known:
        return reason
    return f"{known[code]} ({own})" if own else known[code]
