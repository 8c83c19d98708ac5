import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from registry.models import Alias, File, Model, Version
from registry.services import model_create, version_create
from tests import factories


def text(response):
    return response.content.decode()


@pytest.fixture
def draft(alice_actor) -> Version:
    return version_create(
        actor=alice_actor, model=model_create(actor=alice_actor, name="wren", tags=["bird"])
    )


def put(client, version, name, data, **headers):
    url = reverse("web:file", args=[version.model.name, version.number, name])
    return client.put(url, data, content_type="application/octet-stream", headers=headers)


def test_it_registers_a_model(as_bob, acme):
    sent = {"name": "wren", "description": "Sings.", "tags": "Bird, small ,bird,"}
    response = as_bob.post(reverse("web:model-new"), sent)
    assert response["Location"] == reverse("web:model", args=["wren"])
    model = Model.objects.get()
    assert (model.organisation, model.created_by) == (acme, "bob@example.org")
    assert (model.description, model.tags) == ("Sings.", ["bird", "small"])


def test_a_name_that_is_taken_comes_back_with_the_form(as_bob, draft):
    page = text(as_bob.post(reverse("web:model-new"), {"name": "wren", "description": "Another"}))
    assert "Another" in page
    assert 'role="alert"' in page
    assert Model.objects.count() == 1


def test_it_finds_models_by_name_and_tag(as_alice, draft, alice_actor):
    model_create(actor=alice_actor, name="robin", tags=["red"])
    assert [m.name for m in as_alice.get("/models?q=wre").context["models"]] == ["wren"]
    assert [m.name for m in as_alice.get("/models?tag=red").context["models"]] == ["robin"]
    assert "No model fits" in text(as_alice.get("/models?q=wren&tag=red"))


def test_a_search_while_typing_gets_the_list_alone(as_alice, draft):
    page = text(as_alice.get("/models?q=wr", headers={"HX-Request": "true"}))
    assert "wren" in page
    assert "<html" not in page


def test_going_back_to_a_search_gets_the_whole_page(as_alice, draft):
    back = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert "<html" in text(as_alice.get("/models?q=wr", headers=back))


def test_it_changes_description_and_tags(as_bob, draft):
    as_bob.post(reverse("web:model-edit", args=["wren"]), {"description": "New", "tags": "a, b"})
    model = Model.objects.get()
    assert (model.description, model.tags) == ("New", ["a", "b"])


def test_a_tag_that_is_too_long_is_refused_beside_its_field(as_bob, draft):
    sent = {"description": "", "tags": "x" * 51}
    response = as_bob.post(reverse("web:model-edit", args=["wren"]), sent)
    assert response.status_code == 400
    assert "at most 50 characters" in text(response)


def test_it_opens_a_draft_with_its_parent(as_bob, alice_actor):
    parent = factories.published_version(alice_actor)
    sent = {"notes": "smaller", "parent": parent.id, "derivation": "pruned"}
    response = as_bob.post(reverse("web:version-new", args=["robin"]), sent)
    assert response["Location"] == reverse("web:version", args=["robin", 2])
    version = Version.objects.get(number=2)
    assert (version.parent, version.derivation, version.notes) == (parent, "pruned", "smaller")
    assert "pruned" in text(as_bob.get(response["Location"]))


def test_no_version_of_others_is_a_parent(as_charlie, charlie_actor, alice_actor):
    stranger = factories.published_version(alice_actor)
    model_create(actor=charlie_actor, name="crow")
    response = as_charlie.post(reverse("web:version-new", args=["crow"]), {"parent": stranger.id})
    assert response.status_code == 400
    assert not Version.objects.filter(model__name="crow").exists()


def test_a_raw_body_becomes_a_file(as_bob, draft):
    data = factories.model_file()
    response = put(as_bob, draft, "model.safetensors", data)
    file = File.objects.get()
    assert response.status_code == 201
    assert response.json() == {
        "name": "model.safetensors",
        "sha256": file.sha256,
        "size": len(data),
    }
    got = as_bob.get(reverse("web:file", args=["wren", 1, "model.safetensors"]))
    assert b"".join(got) == data
    assert got["Content-Disposition"].startswith("attachment")


def test_a_file_that_is_refused_is_explained_to_the_script(as_bob, draft):
    response = put(as_bob, draft, "model.pt", b"\x80\x04 pickle", Accept="application/json")
    assert response.status_code == 400
    assert "pickle" in response.json()["message"]
    assert response.json()["hint"]
    assert not File.objects.exists()


def test_a_body_without_length_is_refused(as_bob, draft):
    url = reverse("web:file", args=["wren", 1, "model.safetensors"])
    response = as_bob.generic("PUT", url, b"", CONTENT_LENGTH="", HTTP_ACCEPT="application/json")
    assert response.status_code == 400
    assert not File.objects.exists()


def test_an_ordinary_form_uploads_too(as_bob, draft):
    files = [SimpleUploadedFile(name, factories.model_file()) for name in ("a.st", "b.st")]
    url = reverse("web:upload", args=["wren", 1])
    assert as_bob.post(url, {"files": files}).status_code == 302
    assert sorted(File.objects.values_list("name", flat=True)) == ["a.st", "b.st"]


def test_a_form_without_files_says_so(as_bob, draft):
    response = as_bob.post(reverse("web:upload", args=["wren", 1]))
    assert response.status_code == 400
    assert "No file was chosen" in text(response)


def test_it_publishes(as_bob, draft, acme):
    put(as_bob, draft, "model.safetensors", factories.model_file())
    as_bob.post(reverse("web:publish", args=["wren", 1]))
    draft.refresh_from_db()
    page = text(as_bob.get(reverse("web:version", args=["wren", 1])))
    assert draft.state == "published"
    assert draft.root_digest in page
    assert reverse("web:certificate", args=[draft.certificate_id]) in page
    assert "data-upload" not in page


def test_an_empty_draft_is_not_published_and_the_page_leads_back(as_bob, draft):
    url = reverse("web:publish", args=["wren", 1])
    back = "http://testserver" + reverse("web:version", args=["wren", 1])
    response = as_bob.post(url, headers={"Referer": back})
    assert response.status_code == 400
    assert "without files" in text(response)
    assert back in text(response)


def test_no_error_page_leads_to_another_site(as_bob, draft):
    url = reverse("web:publish", args=["wren", 1])
    page = text(as_bob.post(url, headers={"Referer": "https://evil.example/"}))
    assert "evil.example" not in page


def test_it_sets_moves_and_removes_an_alias(as_bob, alice_actor):
    version = factories.published_version(alice_actor)
    as_bob.post(reverse("web:alias-set", args=["robin"]), {"name": "stable", "version": version.id})
    assert Alias.objects.get().version == version
    assert "stable" in text(as_bob.get(reverse("web:model", args=["robin"])))
    as_bob.post(reverse("web:alias-delete", args=["robin", "stable"]))
    assert not Alias.objects.exists()


def test_an_editor_cannot_move_what_an_owner_protected(as_alice, as_bob, alice_actor):
    version = factories.published_version(alice_actor)
    url = reverse("web:alias-set", args=["robin"])
    as_alice.post(url, {"name": "stable", "version": version.id, "protected": "on"})
    assert as_bob.post(url, {"name": "stable", "version": version.id}).status_code == 403
    assert as_bob.post(reverse("web:alias-delete", args=["robin", "stable"])).status_code == 403
    assert Alias.objects.get().protected


def test_a_draft_takes_no_alias(as_bob, draft):
    sent = {"name": "stable", "version": draft.id}
    assert as_bob.post(reverse("web:alias-set", args=["wren"]), sent).status_code == 400
    assert not Alias.objects.exists()


def test_a_locked_version_shows_its_report_card(as_alice, world):
    page = text(as_alice.get(reverse("web:version", args=["robin", 2])))
    for figure in ("91.2%", "89.4%", "12.1%", "11.8%"):
        assert figure in page


def test_what_people_write_is_never_markup(as_bob, acme):
    evil = "<script src=//evil.example></script>"
    as_bob.post(reverse("web:model-new"), {"name": "wren", "description": evil, "tags": evil})
    for url in ("/models", "/models/wren"):
        page = text(as_bob.get(url))
        assert "&lt;script" in page
        assert evil not in page


def test_the_pipeline_commands_name_real_addresses(as_bob, draft):
    page = text(as_bob.get(reverse("web:model", args=["wren"])))
    assert json.dumps({"notes": "built by CI"}) in page.replace("&quot;", '"')
    assert f"http://testserver{reverse('api:versions', args=['wren'])}" in page
