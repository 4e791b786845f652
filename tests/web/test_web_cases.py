"""`GET /v1/cases`: what can be asked, in which order, and why each case stands where it stands."""

from __future__ import annotations

import time

import pytest
from web_client import Api

from baken.cases import Case, CaseState
from baken.cases_query import CaseSort, QueueQuery
from baken.priorities import points_of
from case_world import make_banks, open_case, person, random_case, seeded, write_cases


@pytest.fixture
def cases(api: Api) -> list[Case]:
    """Cases in every state."""
    generator, banks = seeded(21), make_banks(api.baken.store)
    cases = [random_case(generator, banks, [person("ann")]) for _ in range(60)]
    write_cases(api.baken.store, cases)
    return cases


def listed(api: Api, asked: str = "") -> list[str]:
    """The ids of every page."""
    ids: list[str] = []
    cursor = ""
    while True:
        page = api.get(f"/v1/cases?limit=25{asked}{cursor}").json()
        ids += [case["id"] for case in page["cases"]]
        if page["next_cursor"] is None:
            return ids
        cursor = f"&cursor={page['next_cursor']}"


def test_without_anything_asked_every_case_is_listed_newest_first(api: Api, cases: list[Case]):
    newest = sorted(cases, key=lambda case: (case.opened_at, case.id), reverse=True)

    assert listed(api) == [case.id for case in newest]


def test_what_is_asked_is_what_a_queue_gives(api: Api, cases: list[Case]):
    for asked, query in (
        ("&sort=priority", QueueQuery(states=tuple(CaseState), sort=CaseSort.PRIORITY)),
        ("&state=decided&sort=decided", QueueQuery(states=(CaseState.DECIDED,))),
        (
            "&state=open&state=claimed&bank=known&awaits=first&min_items=2&opened_after=2026-10-20&sort=priority",
            QueueQuery.parse("bank=known&awaits=first&min_items=2&opened_after=2026-10-20"),
        ),
    ):
        for _ in range(50):  # the housekeeper ranks the new cases meanwhile
            expected = [row.case.id for row in api.baken.queues().page_for_platform(query, None, 200).rows]
            given = listed(api, asked)
            if given == expected:
                break
            time.sleep(0.1)
        assert expected
        assert given == expected
    assert len(listed(api, "&purpose=own_photo")) == sum(case.purpose.value == "own_photo" for case in cases)
    assert listed(api, "&bank=nowhere") == []


def test_a_case_says_its_points_and_what_they_are_the_sum_of(api: Api):
    case = open_case(random_case(seeded(3), make_banks(api.baken.store), [person("ann")]), is_escalated=True)
    write_cases(api.baken.store, [case])

    read = api.get(f"/v1/cases/{case.id}").json()

    assert read["points"]["total"] == pytest.approx(sum(factor["points"] for factor in read["points"]["factors"]))
    expected = points_of(case, api.baken.weights, case.opened_at)
    names = {factor["name"] for factor in read["points"]["factors"]}
    assert names == {*(factor.name.value for factor in expected.factors), "age"}
    assert (read["awaits"], read["is_escalated"], read["decision"]) == ("first", True, None)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("state=lost", "state"),
        ("sort=best", "sort"),
        ("min_items=0", "min_items"),
        ("opened_after=soon", "opened_after"),
        ("sort=decided", "sort=decided"),
        ("cursor=nobody", "cursor"),
        ("sort=priority&cursor=2026-01-01T00:00:00~case_1", "cursor"),
    ],
)
def test_a_wrong_question_is_refused_and_names_what_is_wrong(sqlite_api: Api, asked: str, field: str):
    answer = sqlite_api.get(f"/v1/cases?{asked}")

    assert answer.status_code == 422, answer.text
    assert field in answer.text
