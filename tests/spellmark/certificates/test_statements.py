import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.certificates import statements
from spellmark.certificates.errors import FormatError
from tests.spellmark.certificates.certificate_samples import REGISTRATION, VERDICT


def test_a_registration_is_an_in_toto_statement():
    assert json.loads(REGISTRATION.dumps()) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": "11" * 32}}],
        "predicateType": "https://spellmark.dev/registration/v1",
        "predicate": {
            "modelName": "robin",
            "version": 3,
            "organisation": "Alice’s Birds",
            "commitment": "22" * 32,
            "binding": "33" * 16,
            "scheme": "dynamic/v1",
            "parameters": {"rate": 0.05},
            "registeredAt": "2026-02-01T12:00:00Z",
        },
    }


def test_a_verdict_is_an_in_toto_statement():
    value = json.loads(VERDICT.dumps())
    assert value["predicateType"] == "https://spellmark.dev/verdict/v1"
    assert value["subject"] == [
        {"name": "model", "digest": {"sha256": "11" * 32}},
        {"name": "transcript", "digest": {"sha256": VERDICT.transcript_digest}},
    ]
    assert value["predicate"] == {
        "suspect": {"kind": "open-inference", "url": "https://charlie.example/v2/models/finch"},
        "method": "random-key-test",
        "scheme": "dynamic/v1",
        "parameters": {"rate": 0.05},
        "evidenceClass": "verified",
        "statistic": 2.5,
        "pValue": 1e-7,
        "alpha": 1e-6,
        "smallestP": 1e-7,
        "decoys": 9_999_999,
        "probes": 2,
        "queries": 2,
        "accessLevel": "label",
        "verdict": "match",
        "reason": "The true key fits the answers better than every decoy.",
        "registration": {"logIndex": 2, "sha256": "44" * 32},
        "startedAt": "2026-03-01T12:00:00Z",
        "finishedAt": "2026-03-01T12:30:00.250000Z",
        "limits": ["Says nothing on who copied the model."],
    }


@pytest.mark.parametrize(
    "statement",
    [
        REGISTRATION,
        replace(REGISTRATION, commitment=None, binding=None, scheme=None, parameters={}),
        VERDICT,
        replace(VERDICT, suspect={"kind": "file", "sha256": "55" * 32, "size": 12}),
        replace(VERDICT, verdict="inconclusive", statistic=None, p_value=None, smallest_p=None),
        replace(VERDICT, registration_index=None, limits=()),
        replace(VERDICT, registration_digest=None),
        replace(VERDICT, evidence_class="indicative", p_value=None),
    ],
)
def test_statements_read_back(statement):
    assert statements.parse(statement.dumps()) == statement


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(0, 1e-6),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_numbers_and_texts_read_back_exactly(statistic, p_value, reason):
    verdict = replace(VERDICT, statistic=statistic, p_value=p_value, smallest_p=0.0, reason=reason)
    assert statements.parse(verdict.dumps()) == verdict


def test_fields_of_a_later_version_are_ignored():
    value = json.loads(VERDICT.dumps())
    value["later"] = value["predicate"]["later"] = value["subject"][0]["later"] = {"a": 1}
    value["subject"][0]["digest"]["sha512"] = "66" * 64
    assert statements.parse(json.dumps(value).encode()) == VERDICT


def altered(statement, change):
    value = json.loads(statement.dumps())
    change(value)
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda v: v.update(predicateType="https://charlie.example/verdict/v1"),
        lambda v: v.update(predicate=[]),
        lambda v: v.update(subject=v["subject"][:1]),
        lambda v: v.update(subject=v["subject"][1:]),
        lambda v: v.update(subject=v["subject"] + v["subject"][:1]),
        lambda v: v.update(subject=[*v["subject"], {"name": "x", "digest": {"sha256": "11" * 32}}]),
        lambda v: v["subject"][0].pop("digest"),
        lambda v: v["subject"][0]["digest"].update(sha256="11" * 31),
        lambda v: v["subject"][0]["digest"].update(sha256="AA" * 32),
    ],
)
def test_it_refuses_malformed_statements(change):
    with pytest.raises(FormatError):
        statements.parse(altered(VERDICT, change))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("suspect", {}),
        ("suspect", {"kind": "file"}),
        ("suspect", {"kind": "file", "sha256": "short"}),
        ("method", ""),
        ("scheme", None),
        ("parameters", None),
        ("evidenceClass", "certain"),
        ("statistic", "2.5"),
        ("statistic", True),
        ("pValue", 1.5),
        ("pValue", -0.1),
        ("alpha", None),
        ("alpha", 10**400),
        ("decoys", -1),
        ("decoys", 1.0),
        ("probes", True),
        ("queries", None),
        ("accessLevel", 3),
        ("verdict", "guilty"),
        ("verdict", ["match"]),
        ("reason", ""),
        ("registration", {}),
        ("registration", {"logIndex": -1}),
        ("startedAt", "2026-03-01"),
        ("finishedAt", None),
        ("limits", "none"),
        ("limits", [1]),
    ],
)
def test_it_refuses_malformed_verdicts(name, value):
    with pytest.raises(FormatError):
        statements.parse(altered(VERDICT, lambda v: v["predicate"].update({name: value})))


@pytest.mark.parametrize(
    "name", sorted(json.loads(VERDICT.dumps())["predicate"].keys() - {"smallestP"})
)
def test_it_refuses_a_verdict_with_a_field_missing(name):
    with pytest.raises(FormatError):
        statements.parse(altered(VERDICT, lambda v: v["predicate"].pop(name)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("modelName", 1),
        ("version", "3"),
        ("organisation", ""),
        ("commitment", "22" * 31),
        ("binding", "3"),
        ("binding", ""),
        ("scheme", ""),
        ("parameters", []),
        ("registeredAt", "yesterday"),
    ],
)
def test_it_refuses_malformed_registrations(name, value):
    with pytest.raises(FormatError):
        statements.parse(altered(REGISTRATION, lambda v: v["predicate"].update({name: value})))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"p_value": 1e-5}, "above alpha"),
        ({"p_value": None}, "without a statistic or p-value"),
        ({"statistic": None}, "without a statistic or p-value"),
        ({"smallest_p": 1e-3}, "below the smallest"),
        ({"finished_at": VERDICT.started_at - timedelta(seconds=1)}, "finished before"),
        ({"registration_index": None, "registration_digest": None}, "which registration"),
    ],
)
def test_nobody_can_issue_a_verdict_that_contradicts_itself(change, why):
    with pytest.raises(FormatError, match=why):
        replace(VERDICT, **change).dumps()


@given(st.binary(max_size=100))
def test_parsing_never_fails_in_another_way(data):
    with pytest.raises(FormatError):
        statements.parse(data)
