"""`POST /v1/banks/{name}/pictures`: one picture or video into a bank, with what the bank keeps; not its bytes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from baken import banking
from baken.banking import NewPicture
from baken.copies import ViewSet
from baken.errors import UnsupportedMediaTypeError
from baken.model import ApiKey, Entry, Provenance
from baken.web import bodies, wire
from baken.web.banks import BankName
from baken.web.openapi import document
from baken.web.service import Service
from baken.web.uploads import Collector, UploadLimits
from baken.workers import FileFingerprinter

_NO_NUL = "^[^\\x00]*$"
_NOT_BLANK = "^[^\\x00]*[^\\x00\\s][^\\x00]*$"
Source = Annotated[str, Query(min_length=1, max_length=200, pattern=_NOT_BLANK, description="Where it comes from.")]
Note = Annotated[str | None, Query(max_length=2000, pattern=_NO_NUL, description="Why it is added.")]
Label = Annotated[str | None, Query(max_length=200, pattern=_NO_NUL, description="What people call it.")]
Views = Annotated[ViewSet | None, Query(description="Which views to keep; the bank's view set if not given.")]


class Pictures:
    """The route. It needs the scope `banks`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        gate = service.baken.gate
        self._limits = UploadLimits.of(service.baken.settings)
        self._fingerprinter = FileFingerprinter(gate.limits, gate.min_quality_percent, videos=gate.videos)

    def routes(self) -> list[BaseRoute]:
        """The route, documented."""
        router = APIRouter(prefix="/v1/banks", tags=["banks"])
        documented = document(wire.Entry, 201, takes_picture=True, also=[200, 404, 409])
        router.add_api_route("/{name}/pictures", self.add, methods=["POST"], **documented)
        return router.routes

    async def add(
        self,
        request: Request,
        name: BankName,
        *,
        source: Source,
        note: Note = None,
        label: Label = None,
        views: Views = None,
    ) -> Response:
        """Add one picture or video: the raw body. It is fingerprinted exactly, and what the bank keeps of it is kept.

        Answers the entry, with status 201 when it is new and 200 when the bank held it already; it then got what it
        lacked. A file that cannot be compared is added by its digests. It counts on the very next request.
        """
        headers = request.scope["headers"]
        kind = bodies.media_type(headers)
        if not bodies.is_item(kind):
            message = f"Content-Type is {kind[:80]!r}, expected {bodies.ITEM_TYPES}"
            raise UnsupportedMediaTypeError(message, hint="Send the file itself as the body.")
        bodies.check_plain(headers)
        key: ApiKey = request.scope["baken.key"]
        provenance = Provenance(source, f"key:{key.id}", note)
        collector = Collector.of(headers, self._limits, self._service.upload_budgets)
        try:
            await bodies.read_into(collector.write, headers, request.receive, self._limits.of_kind(kind))
            data = collector.finish()
            pool = self._service.screening_pool if isinstance(data, bytes) else self._service.video_pool
            entry, is_new = await pool.run(self._added, name, NewPicture(data, label), provenance, views)
        finally:
            collector.release()
        self._service.housekeeper.wake()
        location = {"location": f"/v1/banks/{name}/entries/{entry.id}"}
        return Response(wire.encode(wire.entry(entry)), 201 if is_new else 200, location, "application/json")

    def _added(
        self, name: str, picture: NewPicture, provenance: Provenance, views: ViewSet | None
    ) -> tuple[Entry, bool]:
        baken = self._service.baken
        added = banking.add_picture(
            baken.store,
            baken.gate.known,
            name,
            picture,
            provenance,
            actor=provenance.added_by,
            fingerprinter=self._fingerprinter,
            decoding=baken.workers,
            keeping=baken.keeping,
            view_set=views,
        )
        return baken.store.entry(name, added.ids[0]), added.added_count > 0
