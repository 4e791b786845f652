"""One's own account: sessions, password, second factor and recovery codes."""

from __future__ import annotations

import base64
import binascii
import io
from http import HTTPStatus

import segno
from markupsafe import Markup
from starlette.responses import Response

from baken.errors import InvalidValueError, NotAuthenticatedError, TooManyAttemptsError
from baken.people import People
from baken.second_factor import SECRET_BYTES, address_of, text_of
from baken.web.console.entrance import password_rule
from baken.web.console.pages import Pages
from baken.web.console.texts import translator
from baken.web.console.visits import Visit, leave_for
from baken.web.service import Service


class Account:
    """The pages of one's own account. Whoever finds a browser open can neither change the password nor the device."""

    def __init__(self, service: Service, people: People, pages: Pages) -> None:
        self._run = service.store_pool.run
        self._store = service.baken.store
        self._people = people
        self._pages = pages

    async def show(self, visit: Visit) -> Response:
        """The account."""
        return await self._page(visit)

    async def set_password(self, visit: Visit) -> Response:
        """Take a new password; all other sessions end."""
        _ = translator(visit.language)
        password = visit.form.get("password", "")
        if password != visit.form.get("again", ""):
            return await self._page(visit, error=_("The two passwords differ."))
        if (refusal := await self._confirm_password(visit)) is not None:
            return await self._page(visit, error=refusal)
        session_id = visit.session.id if visit.session is not None else None
        try:
            await self._run(
                self._people.set_password, visit.who, password, actor=visit.who.actor, keep_session=session_id
            )
        except InvalidValueError:
            return await self._page(visit, error=password_rule(visit))
        return await self._page(visit, note=_("The password is changed, and all other sessions have ended."))

    async def end_sessions(self, visit: Visit) -> Response:
        """End one session, or all others."""
        keep = visit.session.id if visit.session is not None else None
        session_id = visit.form.get("session") or None
        await self._run(
            self._people.end_sessions, visit.who, session_id=session_id, keep_session=keep, actor=visit.who.actor
        )
        return leave_for(visit, "/console/account")

    async def offer_totp(self, visit: Visit) -> Response:
        """A new secret as a QR code and as text."""
        return self._offer(visit, self._people.second_factors.offer(visit.who).secret)

    async def confirm_totp(self, visit: Visit) -> Response:
        """Take the code that proves that the device has the secret, and show the recovery codes once."""
        _ = translator(visit.language)
        secret = _secret_in(visit.form.get("secret", ""))
        if secret is None:
            return leave_for(visit, "/console/account/second-factor")
        if (refusal := await self._confirm(visit)) is not None:
            return self._offer(visit, secret, error=refusal)
        try:
            codes = await self._run(self._confirm_totp, visit, secret)
        except InvalidValueError:
            error = _("That is not the code that belongs to this secret now. Check the clock of the device.")
            return self._offer(visit, secret, error=error)
        return self._pages.render(visit, "recovery_codes.html", codes=codes)

    def _confirm_totp(self, visit: Visit, secret: bytes) -> list[str]:
        session_id = visit.session.id if visit.session is not None else None
        codes = self._people.second_factors.confirm(
            visit.who, secret, visit.form.get("code", ""), keep_session=session_id
        )
        if visit.session is not None and not visit.session.has_second_factor:
            raised = self._people.raise_session(visit.who, visit.session)
            visit.change_token(raised.token)
        return codes

    async def renew_codes(self, visit: Visit) -> Response:
        """Make new recovery codes and show them once."""
        if (refusal := await self._confirm(visit)) is not None:
            return await self._page(visit, error=refusal)
        codes = await self._run(self._people.second_factors.renew_recovery_codes, visit.who)
        return self._pages.render(visit, "recovery_codes.html", codes=codes)

    async def _confirm(self, visit: Visit) -> str | None:
        """What to say when the person does not prove to be there; None when that is done.

        Whoever has no password signs in elsewhere, and must have done so just now.
        """
        _ = translator(visit.language)
        if not visit.who.has_password and visit.session is not None:
            if self._people.is_fresh(visit.session):
                return None
            return _("You signed in a while ago. Sign out, sign in again, and do this within ten minutes.")
        return await self._confirm_password(visit)

    async def _confirm_password(self, visit: Visit) -> str | None:
        """What to say when the present password is not right; None when it is, or a link stands for it."""
        _ = translator(visit.language)
        if self._is_let_in(visit):
            return None
        browser = visit.origin.browser(visit.request)
        try:
            await self._run(self._people.confirm_password, visit.who, visit.form.get("present", ""), browser)
        except NotAuthenticatedError:
            return _("The present password is wrong.")
        except TooManyAttemptsError:
            return _("Too many attempts have failed. Wait a while, then try again.")
        return None

    def _is_let_in(self, visit: Visit) -> bool:
        """Whether a one-time link, which stands for a password that is forgotten, has let the person in just now."""
        return visit.session is not None and visit.session.is_begun_by_link and self._people.is_fresh(visit.session)

    def _offer(self, visit: Visit, secret: bytes, *, error: str | None = None) -> Response:
        picture = io.BytesIO()
        # Drawn here: the secret goes to no other server, and no style attribute needs a weaker policy.
        code = segno.make(address_of(secret, visit.who.name), error="m")
        code.save(
            picture,
            kind="svg",
            scale=5,
            border=4,
            xmldecl=False,
            svgclass=None,
            lineclass=None,
            light="#fff",
            omitsize=True,
        )
        return self._pages.render(
            visit,
            "second_factor.html",
            picture=Markup(picture.getvalue().decode()),  # noqa: S704 - drawn by segno from modules alone
            text=text_of(secret),
            secret=base64.b32encode(secret).decode(),
            asks_password=visit.who.has_password and not self._is_let_in(visit),
            is_half_in=visit.session is not None and self._people.lacks_second_factor(visit.who, visit.session),
            error=error,
            status=HTTPStatus.OK if error is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        )

    async def _page(self, visit: Visit, *, error: str | None = None, note: str | None = None) -> Response:
        user = await self._run(self._store.people.user, visit.who.id)
        found = await self._run(self._store.sign_ins.of_user, user.id)
        return self._pages.render(
            visit,
            "account.html",
            status=HTTPStatus.OK if error is None else HTTPStatus.UNPROCESSABLE_ENTITY,
            account=user,
            is_let_in=self._is_let_in(visit),
            asks_password=user.has_password and not self._is_let_in(visit),
            identities=await self._run(self._store.identities.of_user, user.id),
            sessions=[session for session in found if self._people.is_running(session)],
            own=visit.session,
            error=error,
            note=note,
        )


def _secret_in(text: str) -> bytes | None:
    try:
        secret = base64.b32decode(text)
    except (binascii.Error, ValueError):
        return None
    return secret if len(secret) == SECRET_BYTES else None
