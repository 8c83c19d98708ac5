"""The verifier for outsiders: a page that checks evidence in the browser, also as one file."""

import re

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from web.uploads import download

# In the order in which they build on each other.
SCRIPTS = (
    "bytes", "fields", "zip", "log", "policy", "der", "x509", "timestamps", "documents",
    "evidence/numbers", "evidence/secrets", "evidence/transcript", "evidence/answers",
    "evidence/proportions", "evidence/pool", "evidence/locks", "evidence/signs",
    "evidence/mark_evidence", "evidence/marks",
    "evidence/trigger_rule", "evidence/triggers", "evidence/ranked_rule", "evidence/fingerprints",
    "evidence/features", "evidence/statistic", "checks", "page",
)  # fmt: skip
_IMPORT = re.compile(r'^import \{[^}]*\} from "\.{1,2}/[a-z0-9_/]+\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


@require_safe
def verifier(request: HttpRequest) -> HttpResponse:
    """The page, for anybody: it needs nothing of ours but its scripts."""
    return render(request, "ledger/verifier.html")


@require_safe
def verifier_file(request: HttpRequest) -> HttpResponse:
    """The same page in one file, which works without us."""
    return download(
        single_page().encode(), name="spellmark-verifier.html", content_type="text/html"
    )


def single_page() -> str:
    """The page with its style and scripts inside."""
    static = settings.ROOT / "static"
    scripts = [(static / "verifier" / f"{name}.js").read_text() for name in SCRIPTS]
    joined = "\n".join(_EXPORT.sub("", _IMPORT.sub("", script)) for script in scripts)
    style = (static / "spellmark.css").read_text()
    return render_to_string("ledger/verifier.html", {"script": joined, "style": style})
