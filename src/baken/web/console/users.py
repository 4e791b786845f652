"""The users, for those who may see them; made, invited, changed and disabled by those who may."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from baken.accounts import Identity, Role, User
from baken.errors import ConflictError, InvalidValueError
from baken.people import People
from baken.providers import Provider
from baken.web.console.pages import Pages
from baken.web.console.texts import translator
from baken.web.console.visits import Visit
from baken.web.service import Service


class Users:
    """The page of users."""

    def __init__(self, service: Service, people: People, pages: Pages, provider: Provider | None) -> None:
        self._run = service.store_pool.run
        self._store = service.baken.store
        self._people = people
        self._pages = pages
        self._provider = provider

    async def show(self, visit: Visit) -> Response:
        """The list."""
        return await self._page(visit)

    async def create(self, visit: Visit) -> Response:
        """Make an account and show its invitation, once."""
        _ = translator(visit.language)
        name = visit.form.get("name", "")
        try:
            user = await self._run(
                self._people.create, name, _roles(visit), email=visit.form.get("email"), actor=visit.who.actor
            )
        except ConflictError:
            return await self._page(visit, error=_("Someone has this name already."))
        except InvalidValueError:
            error = _("Give a name, at least one role, and an address of the form name@domain or none.")
            return await self._page(visit, error=error)
        return await self._page(visit, invited=user, code=await self._run(self._invite, visit, user))

    async def change(self, visit: Visit) -> Response:
        """Do one thing to one account."""
        _ = translator(visit.language)
        user = await self._run(self._store.people.user, visit.form.get("user", ""))
        what = visit.form.get("what", "")
        if what in {"link", "unlink"}:
            error = await self._change_link(visit, user, what)
            return await self._page(visit, error=error, note=_("Done.") if error is None else None)
        try:
            if what == "invite":
                return await self._page(visit, invited=user, code=await self._run(self._invite, visit, user))
            await self._run(self._do, visit, user, what)
        except ConflictError:
            error = _("This would leave no administrator, or the account is disabled. Nothing was changed.")
            return await self._page(visit, error=error)
        except InvalidValueError:
            return await self._page(visit, error=_("Choose at least one role."))
        return await self._page(visit, note=_("Done."))

    async def _change_link(self, visit: Visit, user: User, what: str) -> str | None:
        """Link or unlink an account at the identity provider; what the page says where that was refused."""
        _ = translator(visit.language)
        subject, actor = visit.form.get("subject", ""), visit.who.actor
        try:
            if what == "unlink":
                await self._run(self._people.unlink_identities, user, subject=subject, actor=actor)
            elif self._provider is None:
                return _("There is no identity provider here to link with. Nothing was changed.")
            else:
                await self._run(self._people.link_identity, user, self._provider.issuer, subject, actor=actor)
        except ConflictError:
            return _("Another user signs in with that. Nothing was changed.")
        except InvalidValueError:
            return _("Give the subject, as the page says it to whoever signs in there unlinked.")
        return None

    def _invite(self, visit: Visit, user: User) -> str:
        return self._people.invite(user, actor=visit.who.actor)

    def _do(self, visit: Visit, user: User, what: str) -> None:
        actor = visit.who.actor
        match what:
            case "roles":
                self._store.people.change(user.id, roles=_roles(visit), actor=actor)
            case "banks":
                self._set_banks(visit, user)
            case "disable":
                self._people.disable(user, actor=actor)
            case "enable":
                self._store.people.change(user.id, enable=True, actor=actor)
            case "reset-totp":
                self._store.people.reset_totp(user.id, actor=actor)
            case "end-sessions":
                self._people.end_sessions(user, actor=actor)
            case _:
                raise InvalidValueError(f"there is nothing named {what[:40]!r} to do", hint="Use the page's buttons.")

    def _set_banks(self, visit: Visit, user: User) -> None:
        known = {str(bank.id): bank.id for bank in self._store.banks(include_withdrawn=True)}
        chosen = [known[each] for each in visit.chosen("bank") if each in known]
        is_every = visit.form.get("every_bank") == "yes"
        self._store.people.change(
            user.id, bank_ids=None if is_every else chosen, all_banks=is_every, actor=visit.who.actor
        )

    async def _page(
        self,
        visit: Visit,
        *,
        error: str | None = None,
        note: str | None = None,
        invited: User | None = None,
        code: str | None = None,
    ) -> Response:
        banks = await self._run(self._store.banks, include_withdrawn=True)
        return self._pages.render(
            visit,
            "users.html",
            status=HTTPStatus.OK if error is None else HTTPStatus.UNPROCESSABLE_ENTITY,
            accounts=await self._run(self._store.people.all),
            banks={bank.id: bank.name for bank in banks},
            identities=_by_user(await self._run(self._store.identities.all)),
            provider=None if self._provider is None else self._provider.name,
            roles=list(Role),
            invited=invited,
            code=code,
            error=error,
            note=note,
        )


def _roles(visit: Visit) -> list[Role]:
    roles = [Role(role) for role in visit.chosen("role") if role in set(Role)]
    if not roles:
        raise InvalidValueError("no role was chosen", hint="Choose at least one.")
    return roles


def _by_user(identities: list[Identity]) -> dict[str, list[Identity]]:
    found: dict[str, list[Identity]] = {}
    for identity in identities:
        found.setdefault(identity.user_id, []).append(identity)
    return found
