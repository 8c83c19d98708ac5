import json
import sys
from types import ModuleType

import pytest


@pytest.fixture
def transcript_module(monkeypatch):
    """Stands in for the modules that read transcripts: these tests are about certificates.

    Each line names one answer; the statistic is what `statistic` holds.
    """
    module = ModuleType("spellmark.evidence.transcript")
    module.statistic = {
        "method": "random-key-test", "statistic": 2.5, "pValue": 1e-7, "alpha": 1e-6,
        "smallestP": 1e-7, "queries": 2, "verdict": "match", "told": {"rate": 0.05},
        "evidenceClass": "verified",
    }  # fmt: skip
    module.read = lambda lines: ({}, [json.loads(line) for line in lines.splitlines()])
    module.recompute_read = lambda header, exchanges: module.statistic
    module.answer_digests = lambda exchanges: {exchange["answer"] for exchange in exchanges}
    monkeypatch.setitem(sys.modules, "spellmark.evidence.transcript", module)
    monkeypatch.setitem(sys.modules, "spellmark.evidence.recompute", module)
    return module
