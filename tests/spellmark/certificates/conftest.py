import json
import sys
from types import ModuleType

import pytest


@pytest.fixture
def transcript_module(monkeypatch):
    """Stands in for the module that reads transcripts: these tests are about certificates.

    Each line names one answer; the statistic is what `statistic` holds.
    """
    module = ModuleType("spellmark.evidence.transcript")
    module.statistic = {"statistic": 2.5, "pValue": 1e-7, "queries": 2}
    module.recompute = lambda lines: module.statistic
    module.answer_digests = lambda lines: {
        json.loads(line)["answer"] for line in lines.splitlines()
    }
    monkeypatch.setitem(sys.modules, "spellmark.evidence.transcript", module)
    return module
