from protection.models import Rehearsal
from tests import factories
from tests.api.conftest import error_of

PATH = "models/robin/versions/1/false-claims"


def test_they_are_started_and_listed_with_what_became_of_them(api, alice_actor):
    version = factories.published_version(alice_actor)
    response = api.post(PATH, {"dataset": "fashion-mnist", "budget": "quick"})
    assert response.status_code == 202
    told = response.json()
    assert (told["version"], told["budget"], told["job"]["kind"]) == (
        "robin/1", "quick", "false-claims",
    )  # fmt: skip
    assert (told["tried"], told["accepted"], told["results"]) == (None, None, None)
    factories.finished_false_claims(alice_actor, version, believed=3)
    newest, first = api.get(PATH).json()["results"]
    assert first == told
    assert (newest["budget"], newest["tried"], newest["accepted"]) == ("full", 10_009, 3)
    assert newest["results"][0]["stopped_by"]["another root"] == 6


def test_a_draft_another_size_and_strangers_start_nothing(
    api, strangers_api, limited_api, alice_actor
):
    factories.published_version(alice_actor)
    sent = {"dataset": "fashion-mnist"}
    error = error_of(api.post(PATH, {**sent, "budget": "endless"}))
    assert "budget" in error["fields"]
    api.post("models/robin/versions")
    error = error_of(api.post("models/robin/versions/2/false-claims", sent))
    assert error["message"] == "robin v2 is a draft."
    assert limited_api("read").post(PATH, sent).status_code == 403
    assert strangers_api.post(PATH, sent).status_code == 404
    assert strangers_api.get(PATH).status_code == 404
    assert not Rehearsal.objects.exists()
