"""The published JSON schemas say what our reader says."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from spellmark.certificates import keys
from spellmark.certificates.errors import FormatError
from spellmark.certificates.statements import Succession, kind_of, parse
from tests.spellmark.certificates.certificate_samples import ALICE, REGISTRATION, VERDICT
from tests.spellmark.certificates.test_revocations import REVOCATION

SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"
SUCCESSION = Succession(
    keyid=keys.keyid(ALICE.public_key()),
    public_key=keys.public_pem(ALICE.public_key()),
    valid_from=datetime(2026, 6, 1, tzinfo=UTC),
)
STATEMENTS = (REGISTRATION, VERDICT, REVOCATION, SUCCESSION)


def schema_of(statement) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{kind_of(statement)}-v1.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def accepts(value) -> bool:
    try:
        parse(json.dumps(value).encode())
    except FormatError:
        return False
    return True


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_fits_its_schema(statement):
    value = json.loads(statement.dumps())
    schema_of(statement).validate(value)
    assert parse(statement.dumps()) == statement
    value["predicate"]["aFieldOfTheFuture"] = 1
    assert schema_of(statement).is_valid(value)
    assert accepts(value)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_schema_and_reader_refuse_the_same_fields(statement):
    value = json.loads(statement.dumps())
    schema = schema_of(statement)
    for name in value["predicate"]:
        for wrong in (None, 1.5, -1, "", [], {}, [1], "x", True):
            changed = copy.deepcopy(value)
            changed["predicate"][name] = wrong
            # What the reader refuses beyond that are contradictions between fields.
            if accepts(changed):
                assert schema.is_valid(changed), (name, wrong)
            elif name not in {"suspect", "registration", "publicKey", "alpha", "pValue",
                              "statistic", "smallestP", "replacedBy"}:  # fmt: skip
                assert not schema.is_valid(changed), (name, wrong)
        missing = copy.deepcopy(value)
        del missing["predicate"][name]
        if accepts(missing):
            assert schema.is_valid(missing), name


@pytest.mark.parametrize("statement", STATEMENTS)
def test_both_want_the_type_and_the_subjects(statement):
    for change in (
        lambda v: v.update(predicateType="https://spellmark.dev/other/v1"),
        lambda v: v.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda v: v["subject"].pop(),
        lambda v: v["subject"][0].update(name="other"),
        lambda v: v["subject"][0]["digest"].update(sha256="AB"),
        lambda v: v.pop("predicate"),
    ):
        value = json.loads(statement.dumps())
        change(value)
        assert not accepts(value)
        assert not schema_of(statement).is_valid(value)
