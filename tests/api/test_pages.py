from urllib.parse import urlsplit

import pytest

from registry.services import model_create


@pytest.fixture(autouse=True)
def five_models(alice_actor):
    for name in "edcba":
        model_create(actor=alice_actor, name=name, tags=["vowel"] if name in "ae" else [])


def _names(answer) -> list[str]:
    return [row["name"] for row in answer.json()["results"]]


def test_pages_lead_to_each_other_and_hold_every_row_once(api):
    seen, path = [], "models?page_size=2"
    while path:
        answer = api.get(path)
        assert answer.json()["count"] == 5
        seen += _names(answer)
        link = answer.json()["next"]
        path = link and urlsplit(link).path.removeprefix("/api/v1/") + f"?{urlsplit(link).query}"
    assert seen == list("abcde")
    assert api.get("models?page_size=2&page=2").json()["previous"].endswith("models?page_size=2")


def test_a_page_behind_the_last_is_404(api):
    assert api.get("models?page=2").status_code == 404


@pytest.mark.parametrize(("asked", "given"), [("1", 1), ("201", 5), ("0", 5), ("-1", 5), ("x", 5)])
def test_the_size_of_a_page_has_its_bounds(api, asked, given, monkeypatch):
    assert len(_names(api.get(f"models?page_size={asked}"))) == given
    monkeypatch.setattr("api.pagination.Pages.max_page_size", 3)
    assert len(_names(api.get("models?page_size=1000000"))) == 3


def test_filters_keep_within_the_pages(api):
    answer = api.get("models?tag=Vowel&page_size=1")
    assert _names(answer) == ["a"]
    assert "tag=Vowel" in answer.json()["next"]
    assert _names(api.get("models?search=B")) == ["b"]
