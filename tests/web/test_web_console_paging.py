"""The queue's pages over HTTP: every case once, whatever happens meanwhile; parts for htmx; what a role is offered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from itertools import chain

import httpx
import pytest
from console_browser import PASSWORD, Site

from baken.cases import Awaits, Case, CaseState
from baken.people import Browser
from case_world import NOW, change, make_banks, random_case, seeded, write_cases

COUNT, ON_A_PAGE = 120, 50
ROW = re.compile(r'<a class="case-id" href="/console/cases/(case_\w+)" data-row-link>')
NEXT = re.compile(r'id="next-page" href="([^"]+)"')


@pytest.fixture(scope="module")
def cases(site: Site) -> list[Case]:
    """Open cases, many of which have equally many points."""
    generator = seeded(4)
    banks = make_banks(site.baken.store)
    made = [random_case(generator, banks, [site.users["alice"]]) for _ in range(COUNT)]
    clean = {"state": CaseState.OPEN, "awaits": Awaits.FIRST, "decision": None, "decided_at": None, "decided_by": None}
    nobodys = {"holder_id": None, "lease_until": None, "assignee_id": None, "is_escalated": False}
    clean = {"state": CaseState.OPEN, "awaits": Awaits.FIRST, "decision": None, "decided_at": None, "decided_by": None}
    nobodys = {"holder_id": None, "lease_until": None, "assignee_id": None, "is_escalated": False}
    alike = {"item_count": 1, "account_count": 1, "widest_visibility": None, "signals": ()}
    times = [NOW - timedelta(days=number % 3) for number in range(COUNT)]
    made = [replace(case, opened_at=at, **clean, **nobodys, **alike) for case, at in zip(made, times, strict=True)]
    write_cases(site.baken.store, made)
    site.baken.ranker().rank_anew()
    return made


@pytest.fixture
def alice(site: Site) -> Iterator[httpx.Client]:
    with signed_in(site, "alice") as client:
        yield client


def signed_in(site: Site, name: str) -> httpx.Client:
    entered = site.baken.people().sign_in(name, PASSWORD, Browser())
    cookie = {"cookie": f"baken-session={entered.token}"}
    return httpx.Client(base_url=site.url, headers=cookie, timeout=60, trust_env=False)


def followed(client: httpx.Client, **headers: str) -> Iterator[list[str]]:
    """The cases on each page, along the links to the next one."""
    address: str | None = "/console/cases"
    while address is not None:
        answer = client.get(address, headers=headers)
        assert answer.status_code == 200
        yield ROW.findall(answer.text)
        found = NEXT.search(answer.text)
        address = None if found is None else unescape(found[1])


def test_every_case_stands_on_one_page_with_scripts_and_without(alice: httpx.Client, cases: list[Case]):
    for headers in ({}, {"hx-request": "true"}):
        pages = list(followed(alice, **headers))
        assert [len(page) for page in pages] == [ON_A_PAGE, ON_A_PAGE, COUNT - 2 * ON_A_PAGE]
        assert sorted(chain(*pages)) == sorted(case.id for case in cases)


def test_what_is_decided_meanwhile_moves_no_other_case_to_another_page(
    site: Site, alice: httpx.Client, cases: list[Case]
):
    by_id = {case.id: case for case in cases}
    pages = followed(alice)
    first = next(pages)
    for case_id in first[:7]:
        change(site.baken.store, by_id[case_id], state="on_hold")
    rest = list(chain(*pages))
    for case_id in first[:7]:
        change(site.baken.store, by_id[case_id], state="open")

    assert sorted(first + rest) == sorted(by_id)


def test_htmx_gets_the_list_alone_and_the_address_to_show(alice: httpx.Client, cases: list[Case]):
    del cases
    part = alice.get("/console/cases?purpose=own_photo&mine=", headers={"hx-request": "true"})

    assert part.text.lstrip().startswith('<div id="queue">')
    assert "<html" not in part.text
    assert part.headers["hx-push-url"] == "/console/cases?purpose=own_photo"
    assert "hx-push-url" not in alice.get("/console/cases").headers


def test_who_decides_nothing_is_offered_nothing_to_decide(site: Site, cases: list[Case]):
    del cases
    with signed_in(site, "otto") as otto:
        page = otto.get("/console/cases").text

    assert len(ROW.findall(page)) == ON_A_PAGE
    assert "/console/cases/bulk" not in page
    assert 'name="case"' not in page
    assert "mine=1" not in page
