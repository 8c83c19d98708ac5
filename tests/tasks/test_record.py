"""What a certificate says of a suspect once it was asked."""

from ipaddress import ip_network

from spellmark.evidence.transcript import Exchange
from spellmark.suspects.egress import EgressPolicy
from spellmark.suspects.model_file import ModelFile
from spellmark.suspects.open_inference import OpenInference, OpenInferenceConfig
from tasks.record import described
from tests import factories


def seen(*digests: str | None) -> list[Exchange]:
    return [
        Exchange(
            number=number, probe=number, image_index=0, image_sha256="0" * 64, label=0,
            first_slot=0, request_sha256="0" * 64, state="answered", tls_certificate_sha256=digest,
        )
        for number, digest in enumerate(digests)
    ]  # fmt: skip


def test_an_endpoint_is_told_with_the_tls_certificates_that_it_showed():
    config = OpenInferenceConfig(url="https://127.0.0.1:9", model="copy", classes=3)
    suspect = OpenInference(config, EgressPolicy(allowed_networks=(ip_network("127.0.0.0/8"),)))
    told = described(suspect, seen("b" * 64, "a" * 64, None, "b" * 64))
    assert told["url"] == "https://127.0.0.1:9"
    assert told["tlsCertificates"] == ["a" * 64, "b" * 64]
    assert described(suspect, seen(None))["tlsCertificates"] == []


def test_a_file_is_told_by_its_digest_alone(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(factories.model_file())
    assert "tlsCertificates" not in described(ModelFile(path), seen(None))
