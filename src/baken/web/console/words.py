"""What review's own words are called in the console: states, decisions, events, matches. One table for each enum.

The tables are whole: a test asks each of them for every member, so that no page ever shows a word of the code.
"""

from __future__ import annotations

from collections.abc import Mapping

from baken.cases import ActionKind, ActionState, Awaits, CaseState, DecisionKind, EventKind, MatchOrigin, Refusal
from baken.copies import MatchStage, ViewKind
from baken.model import Purpose, Transform, Visibility
from baken.web.console.texts import Translate


def purpose_names(_: Translate) -> Mapping[Purpose, str]:
    """What the purposes of banks, and so of cases, are called."""
    return {
        Purpose.KNOWN_ABUSE: _("Known abuse"),
        Purpose.OWN_PHOTO: _("Own photo"),
        Purpose.BENIGN: _("Benign"),
        Purpose.WATCH: _("Watch"),
    }


def state_names(_: Translate) -> Mapping[CaseState, str]:
    """Where a case stands."""
    return {
        CaseState.OPEN: _("Open"),
        CaseState.CLAIMED: _("Claimed"),
        CaseState.ON_HOLD: _("On hold"),
        CaseState.DECIDED: _("Decided"),
    }


def awaits_names(_: Translate) -> Mapping[Awaits, str]:
    """Whose decision a case waits for."""
    return {
        Awaits.FIRST: _("awaits a decision"),
        Awaits.SECOND: _("awaits a second person"),
        Awaits.LEAD: _("awaits a lead"),
    }


def refusal_names(_: Translate) -> Mapping[Refusal, str]:
    """Why a person cannot decide a case now."""
    return {
        Refusal.NOT_THEIRS: _("it is not yours to decide"),
        Refusal.LEASE_LOST: _("your claim ended, and somebody else took it over"),
        Refusal.DECIDED: _("it is decided"),
        Refusal.ON_HOLD: _("it is on hold"),
        Refusal.CLAIMED: _("somebody else has it"),
        Refusal.GAVE_DECISION: _("you have decided; somebody else is awaited"),
        Refusal.DISAGREED: _("you and somebody else disagree: a lead settles it"),
        Refusal.AWAITS_LEAD: _("it awaits a lead"),
        Refusal.GIVEN_AWAY: _("it was given to somebody else"),
        Refusal.SEALED: _("a first decision is given: the second one is made for one case at a time"),
    }


def visibility_names(_: Translate) -> Mapping[Visibility | None, str]:
    """Who can see an item on the platform."""
    return {
        Visibility.PUBLIC: _("public"),
        Visibility.SHARED: _("shared"),
        Visibility.LOCKED: _("locked"),
        Visibility.UNKNOWN: _("unknown"),
        None: _("unknown"),
    }


def decision_names(_: Translate) -> Mapping[DecisionKind, str]:
    """What a person can say of a case."""
    return {
        DecisionKind.CONFIRMED: _("Confirmed"),
        DecisionKind.NOT_A_MATCH: _("Not a match"),
        DecisionKind.ALLOWED: _("Allowed"),
        DecisionKind.CANNOT_TELL: _("Cannot tell"),
        DecisionKind.REFER: _("Refer"),
    }


def decision_meanings(_: Translate) -> Mapping[DecisionKind, str]:
    """What each decision says, in a line."""
    return {
        DecisionKind.CONFIRMED: _("It is the banked picture, and it must not be here."),
        DecisionKind.NOT_A_MATCH: _("It is another picture."),
        DecisionKind.ALLOWED: _("It is the banked picture, and it may be here."),
        DecisionKind.CANNOT_TELL: _("What is known does not suffice."),
        DecisionKind.REFER: _("A hotline or the police must say."),
    }


def action_names(_: Translate) -> Mapping[ActionKind, str]:
    """What is done to an item."""
    return {
        ActionKind.REMOVE: _("remove"),
        ActionKind.RESTRICT: _("restrict"),
        ActionKind.RELEASE: _("release"),
        ActionKind.PRESERVE: _("preserve"),
        ActionKind.REPORT: _("report"),
        ActionKind.REFER: _("refer"),
    }


def action_state_names(_: Translate) -> Mapping[ActionState, str]:
    """How far an action is."""
    return {
        ActionState.PENDING: _("waiting"),
        ActionState.FINAL: _("done"),
        ActionState.CANCELLED: _("cancelled"),
    }


def event_names(_: Translate) -> Mapping[EventKind, str]:
    """What happened to a case."""
    return {
        EventKind.OPENED: _("Case opened"),
        EventKind.JOINED: _("Items joined"),
        EventKind.CLAIMED: _("Claimed"),
        EventKind.RELEASED: _("Released"),
        EventKind.HELD: _("Put on hold"),
        EventKind.RESUMED: _("Resumed"),
        EventKind.NOTED: _("Note"),
        EventKind.ESCALATED: _("Escalated"),
        EventKind.REASSIGNED: _("Reassigned"),
        EventKind.SECOND_ASKED: _("Second opinion asked for"),
        EventKind.DECIDED: _("Decided"),
        EventKind.UNDONE: _("Decision undone"),
        EventKind.REOPENED: _("Reopened"),
        EventKind.FOLLOWED: _("New copies followed the decision"),
        EventKind.ACTED: _("Done by the platform"),
        EventKind.DISPUTED: _("Entry disputed"),
        EventKind.BENIGN_ADDED: _("Added to a bank of benign pictures"),
        EventKind.BENIGN_WITHDRAWN: _("Benign entry withdrawn"),
    }


def origin_names(_: Translate) -> Mapping[MatchOrigin, str]:
    """How an item came into a case."""
    return {
        MatchOrigin.SCREENING: _("on upload"),
        MatchOrigin.RETROACTIVE: _("by looking back"),
    }


def stage_names(_: Translate) -> Mapping[MatchStage, str]:
    """What found a match."""
    return {
        MatchStage.FINGERPRINT: _("whole picture"),
        MatchStage.VIEWS: _("part of the picture"),
        MatchStage.DESCRIPTOR: _("likeness"),
    }


def transform_names(_: Translate) -> Mapping[Transform, str]:
    """How the banked picture was turned to get the item."""
    return {
        Transform.IDENTITY: _("as it is"),
        Transform.ROTATED_90: _("turned by 90°"),
        Transform.ROTATED_180: _("turned by 180°"),
        Transform.ROTATED_270: _("turned by 270°"),
        Transform.MIRRORED: _("mirrored"),
        Transform.MIRRORED_ROTATED_90: _("mirrored, turned by 90°"),
        Transform.MIRRORED_ROTATED_180: _("mirrored, turned by 180°"),
        Transform.MIRRORED_ROTATED_270: _("mirrored, turned by 270°"),
    }


def item_view_names(_: Translate) -> Mapping[ViewKind, str]:
    """What of the item was compared."""
    return {
        ViewKind.WHOLE: _("the whole item"),
        ViewKind.CROPPED: _("a part of the item"),
        ViewKind.TILTED: _("the item turned upright"),
        ViewKind.TRIMMED: _("the item without what surrounds it"),
        ViewKind.CAPTION_CUT: _("the item without its caption"),
        ViewKind.TILE: _("a quarter of the item"),
    }


def entry_view_names(_: Translate) -> Mapping[ViewKind, str]:
    """What of the banked picture it was compared with."""
    part = _("a part of the banked picture")
    return {
        ViewKind.WHOLE: _("the whole banked picture"),
        ViewKind.CROPPED: part,
        ViewKind.TILTED: _("the banked picture, tilted"),
        ViewKind.TRIMMED: part,
        ViewKind.CAPTION_CUT: part,
        ViewKind.TILE: part,
    }
