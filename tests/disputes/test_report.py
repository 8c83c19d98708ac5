"""The report on a case: what it says, that it loads nothing, and that its evidence verifies."""

import io
import json
import re
import shutil
import subprocess
import zipfile
from html.parser import HTMLParser

import pytest
from django.utils.html import escape
from pypdf import PdfReader

from disputes.models import Report
from disputes.report import ReportFiles, build_report
from disputes.report.evidence import EvidenceError
from disputes.services import case_create, report_create
from jobs.services import job_claim, job_stop
from ledger.models import Certificate
from ledger.selectors import NotYetLoggedError, certificate_entry_of, trust
from registry import storage
from spellmark.certificates import revocations
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.policy import Policy
from spellmark.certificates.statements import Registration, Verdict
from spellmark.certificates.trust import Trust
from spellmark.certificates.verify import verify_files
from spellmark.cli import main as spellmark
from spellmark.evidence import transcript
from spellmark.evidence.fingerprint_rule import FINGERPRINTS
from tasks import work
from tasks.run_job import run_job
from tests import factories
from tests.ledger.witnesses import witness
from tests.programs import need
from verification.methods import METHODS, limits
from verification.services import run_exchanges

__all__ = ["witness"]


def report_on(actor, *runs, title="Acme against Globex", description="") -> Report:
    case = case_create(actor=actor, title=title, description=description, runs=runs)
    return Report.objects.get(id=report_create(actor=actor, case=case).id)


def built(report: Report) -> ReportFiles:
    return build_report(report, lambda share, step: None)


def pdf_text(files: ReportFiles) -> str:
    """All of the PDF's text without its spaces: lines break where they like."""
    pages = PdfReader(io.BytesIO(files.pdf)).pages
    return squeezed("".join(page.extract_text() for page in pages))


def squeezed(text: str) -> str:
    return "".join(text.replace("\u200b", "").split())


def members(files: ReportFiles) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(files.evidence)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def runs(alice_actor):
    """One run of every kind of end."""
    return [
        factories.finished_run(alice_actor, verdict="match"),
        factories.finished_run(alice_actor, verdict="no match"),
        factories.finished_run(alice_actor, verdict="inconclusive"),
        factories.failed_run(alice_actor),
        factories.cancelled_run(alice_actor),
    ]


def test_the_pdf_says_what_the_certificate_says(alice_actor):
    run = factories.finished_run(alice_actor, verdict="match")
    text = pdf_text(built(report_on(alice_actor, run)))
    certificate = Certificate.objects.get(id=run.certificate_id)
    for said in (
        "match",
        "p-value 0.01 (α = 0.01)",
        "False-positive rate α 0.01, that is 1 in 100",
        "the smallest p-value that they can show is 0.01",
        "at most 0 of the 99 decoy keys",
        run.suspect.config["url"],
        run.protection.result.root_digest,
        run.protection.commitment.digest,
        run.protection.commitment.binding,
        run.transcript_sha256,
        run.registration_digest,
        certificate.digest,
        f"No. {certificate_entry_of(certificate).index}; the checkpoint covers",
        *limits(run.method),
    ):
        assert squeezed(said) in text, said


def test_the_pdf_says_what_keyed_labels_showed(alice_actor):
    run = factories.finished_run(alice_actor, verdict="match", method="keyed-labels")
    text = pdf_text(built(report_on(alice_actor, run)))
    for said in (
        "Method Keyed labels (keyed-labels)",
        "one of 10 classes for each of 1 sub-keys; the smallest p-value that they can show is "
        "2.76 × 10⁻⁷",
        "p ≤ 0.01: so many hits under at most that share of all label permutations",
        f"{run.statistic} of 16 answers are the key’s labels",
        f"{run.statistic} of the suspect’s 16 answers are the labels that only the owner’s secret",
        "on a logarithmic scale",
        *limits("keyed-labels"),
    ):
        assert squeezed(said) in text, said
    assert squeezed("decoy keys may do as well") not in text


def test_a_report_with_both_methods_tells_the_limits_of_both(alice_actor):
    keyed = [method for method in METHODS if method not in FINGERPRINTS]
    runs = [
        factories.finished_run(alice_actor, verdict="no match", method=method) for method in keyed
    ]
    html = built(report_on(alice_actor, *runs)).html.decode()
    for method in keyed:
        assert all(escape(limit) in html for limit in limits(method))
    assert "which is not rare enough by chance" in html
    assert "does not stand out" in html


def test_a_report_on_triggers_tells_their_root_and_what_was_counted(alice_actor):
    run = factories.finished_trigger_run(alice_actor, verdict="match")
    html = built(report_on(alice_actor, run)).html.decode()
    for said in (
        "images which nobody chose", run.protection.settings["root"], "multiplied by",
        "up to 32 of 96", "Triggers known with it", "0 of 57 would pass the same rule",
    ):  # fmt: skip
        assert said in html, said
    assert all(escape(limit) in html for limit in limits("trigger-watermark"))


def test_every_run_of_the_case_appears(alice_actor, runs):
    files = built(report_on(alice_actor, *runs))
    text, html, readme = pdf_text(files), files.html.decode(), members(files)["README.txt"]
    found = "5 runs: 1 match, 1 no match, 1 inconclusive, 1 failed and 1 cancelled."
    assert squeezed(found) in text
    assert found in html
    for run in runs:
        assert squeezed(str(run.id)) in text
        assert str(run.id) in html
        assert str(run.id).encode() in readme
    assert squeezed("The suspect answered with HTTP status 503.") in text
    assert squeezed("cancelled by alice@example.org") in text


def test_runs_that_were_left_out_of_the_case_are_told(alice_actor, charlie_actor):
    kept = factories.finished_run(alice_actor, verdict="match")
    left_out = factories.finished_run(alice_actor, verdict="no match")
    strangers = factories.finished_run(charlie_actor, verdict="no match")
    html = built(report_on(alice_actor, kept)).html.decode()
    assert left_out.id.hex[:8] in html
    assert "Over all 2 runs listed in this report" in html
    assert strangers.id.hex[:8] not in html


def test_a_report_without_a_match_accuses_nobody(alice_actor):
    run = factories.finished_run(alice_actor, verdict="no match")
    html = built(report_on(alice_actor, run)).html.decode()
    assert "this report gives no ground for an accusation" in html
    assert "a result like this with a probability" not in html


class Loads(HTMLParser):
    """Gathers whatever a browser would fetch or run."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "link", "iframe", "object", "embed", "img", "base", "form"):
            self.found.append(tag)
        for name, value in attrs:
            outside = name in ("src", "href", "xlink:href", "srcset", "action", "data")
            if name.startswith("on") or (outside and not value.startswith("#")):
                self.found.append((tag, name, value))


def test_the_page_loads_nothing_and_runs_nothing(alice_actor, runs):
    html = built(report_on(alice_actor, *runs)).html.decode()
    loads = Loads()
    loads.feed(html)
    assert loads.found == []
    style = html.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style
    assert "default-src 'none'" in html


def test_the_evidence_verifies_with_the_trust_file_alone(alice_actor, runs):
    files = members(built(report_on(alice_actor, *runs)))
    assert files["trust.json"] == trust().dumps()
    assert "policy.txt" not in files
    assert b"--policy" not in files["README.txt"]
    trusted = Trust.loads(files["trust.json"])
    for number, run in enumerate(runs[:3], start=1):
        folder = f"runs/{number}-{run.id.hex[:8]}"
        verdict = verify_files(Bundle.loads(files[f"{folder}/bundle.zip"]), trusted)
        registration = verify_files(Bundle.loads(files[f"{folder}/registration.zip"]), trusted)
        assert verdict.passed and registration.passed
        assert isinstance(verdict.statement, Verdict)
        assert verdict.statement.verdict == run.verdict
        assert isinstance(registration.statement, Registration)
        assert registration.statement.commitment == run.protection.commitment.digest


def test_the_evidence_names_the_witnesses_where_there_are_some(alice_actor, witness):
    run = factories.finished_run(alice_actor)
    files = members(built(report_on(alice_actor, run)))
    assert b"--revocations revocations.json --policy policy.txt" in files["README.txt"]
    rules, trusted = Policy.loads(files["policy.txt"]), Trust.loads(files["trust.json"])
    listed = revocations.loads(files["revocations.json"])
    assert json.loads(files["trusted_root.json"])["tlogs"]
    for part in ("bundle", "registration"):
        bundle = Bundle.loads(files[f"runs/1-{run.id.hex[:8]}/{part}.zip"])
        report = verify_files(bundle, trusted, listed, rules)
        assert report.passed
        assert {"witnesses", "revocation"} <= {c.name for c in report.checks if c.passed}


def test_a_policy_that_is_younger_than_the_checkpoint_is_not_told(alice_actor, request):
    run = factories.finished_run(alice_actor)
    request.getfixturevalue("witness")
    files = members(built(report_on(alice_actor, run)))
    assert "policy.txt" not in files
    assert b"--policy" not in files["README.txt"]


def test_a_failed_run_brings_its_transcript(alice_actor, runs):
    files = members(built(report_on(alice_actor, *runs)))
    _, exchanges = transcript.read(files[f"runs/4-{runs[3].id.hex[:8]}/transcript.jsonl"])
    assert [exchange.state for exchange in exchanges] == ["answered"] * 2 + ["failed"] * 4
    assert not any(name.startswith("runs/5-") for name in files)


def test_what_a_cancelled_run_had_asked_is_handed_over(alice_actor):
    run = factories.queued_run(alice_actor)
    job = job_claim(job_id=run.job_id)
    factories.ask(run, lambda label: [label] * 100, answered=3, probes=3)
    job_stop(job=job)
    files = members(built(report_on(alice_actor, run)))
    _, exchanges = transcript.read(files[f"runs/1-{run.id.hex[:8]}/transcript.jsonl"])
    assert exchanges == run_exchanges(run)
    assert len(exchanges) == 3


def test_the_same_record_gives_the_same_bytes(alice_actor, runs):
    report = report_on(alice_actor, *runs)
    assert built(report) == built(Report.objects.get(id=report.id))


def test_the_evidence_holds_the_report_itself(alice_actor, runs):
    files = built(report_on(alice_actor, *runs))
    assert members(files)["report.pdf"] == files.pdf
    assert members(files)["report.html"] == files.html


def test_the_pdf_is_an_accessible_archive(alice_actor, runs):
    metadata = PdfReader(io.BytesIO(built(report_on(alice_actor, *runs)).pdf)).xmp_metadata
    about = metadata.stream.get_data()
    assert b"<pdfaid:part>2</pdfaid:part>" in about
    assert b"<pdfuaid:part>1</pdfuaid:part>" in about


HOSTILE = (
    '#import "@preview/tablex:0.0.9": *',
    "#panic[now] $x$ *bold* <script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)> & {{ report.title }} \\ ` _",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_that_looks_like_markup_stays_text(alice_actor, text):
    suspect = factories.endpoint_suspect(alice_actor, name=text)
    run = factories.finished_run(alice_actor, suspect=suspect)
    files = built(report_on(alice_actor, run, title=text, description=text))
    assert pdf_text(files).count(squeezed(text)) > 3
    html = files.html.decode()
    assert html.count(escape(text)) > 3
    assert text == escape(text) or text not in html
    loads = Loads()
    loads.feed(html)
    assert loads.found == []
    assert text in members(files)["README.txt"].decode()


@pytest.mark.parametrize("title", ["株式会社アクメ", "אקמה נגד גלובקס", "Acme \u202e 🙂"])
def test_letters_that_the_fonts_lack_do_not_stop_a_report(alice_actor, title):
    run = factories.finished_run(alice_actor)
    files = built(report_on(alice_actor, run, title=title))
    assert files.pdf.startswith(b"%PDF-")
    assert title.split()[0] in files.html.decode()


def test_a_name_without_spaces_stays_on_the_page(alice_actor):
    run = factories.finished_run(alice_actor)
    pdf = built(report_on(alice_actor, run, title="x" * 200)).pdf
    lines = PdfReader(io.BytesIO(pdf)).pages[0].extract_text().replace("\u200b", "").split()
    assert sum(line.count("x") for line in lines) >= 200
    assert max(len(line) for line in lines if set(line) == {"x"}) < 40


def test_a_record_that_differs_from_its_certificate_is_refused(alice_actor):
    run = factories.finished_run(alice_actor, verdict="no match")
    run.verdict, run.p_value = "match", 0.01
    run.save()
    with pytest.raises(EvidenceError, match="says something else than its certificate"):
        built(report_on(alice_actor, run))


def test_evidence_that_was_altered_is_refused(alice_actor):
    run = factories.finished_run(alice_actor)
    forged = storage.get(run.transcript_sha256).replace(b'"status":200', b'"status":201')
    run.transcript_sha256 = storage.put(forged)
    run.save()
    with pytest.raises(EvidenceError, match="run 1 does not verify"):
        built(report_on(alice_actor, run))


def test_a_run_that_started_since_is_waited_for(alice_actor):
    report = report_on(alice_actor, factories.finished_run(alice_actor))
    report.case.runs.add(factories.queued_run(alice_actor))
    with pytest.raises(EvidenceError, match="Run 2 of this case is still going on"):
        built(report)


def test_a_certificate_that_waits_for_the_log_is_waited_for(alice_actor, monkeypatch):
    protection = factories.finished_protection(alice_actor)
    monkeypatch.setattr(factories, "ledger_sequence", lambda: 0)
    run = factories.finished_run(alice_actor, protection=protection)
    with pytest.raises(NotYetLoggedError):
        built(report_on(alice_actor, run))


def test_the_job_keeps_all_three_files(alice_actor, runs, settings, monkeypatch):
    # The heartbeat has a connection of its own, which cannot see into a test's transaction.
    settings.JOB_LEASE_SECONDS = 3600
    monkeypatch.setattr(work, "BEAT_SECONDS", 3600)
    report = report_on(alice_actor, *runs)
    run_job(str(report.job_id))
    report.refresh_from_db()
    assert report.job.state == report.job.State.SUCCEEDED
    kept = ReportFiles(
        *map(storage.get, (report.pdf_sha256, report.html_sha256, report.evidence_sha256))
    )
    assert kept == built(report)


@pytest.mark.peer
def test_the_commands_of_the_report_check_it_without_us(alice_actor, tmp_path, monkeypatch):
    need("openssl", "jq", "unzip")
    run = factories.finished_run(alice_actor)
    report = report_on(alice_actor, run)
    files = built(report)
    readme = re.sub(r"\\\n\s+", "", members(files)["README.txt"].decode())
    lines = [line for line in readme.splitlines() if line.startswith("    ")]
    first = next(at for at, line in enumerate(lines) if "unzip report-1.zip" in line)
    script = [line for line in lines[first:] if not line.strip().startswith(("pip", "spellmark"))]

    def said() -> str:
        shutil.rmtree(tmp_path / "report-1", ignore_errors=True)
        (tmp_path / "report-1.zip").write_bytes(files.evidence)
        return subprocess.run(
            ["sh", "-c", "\n".join(script)], cwd=tmp_path, capture_output=True, text=True,
            check=False,
        ).stdout  # fmt: skip

    (tmp_path / "trust.json").write_bytes(trust().dumps())
    certificate = Certificate.objects.get(id=run.certificate_id)
    output = said()
    assert "Verified OK" in output
    assert f"{run.transcript_sha256}  transcript.jsonl" in output
    assert output.endswith(f'{{"kind":"certificate/v1","sha256":"{certificate.digest}"}}')

    monkeypatch.chdir(tmp_path / "report-1")
    checks = [line.split()[1:] for line in lines if line.strip().startswith("spellmark verify")]
    assert [spellmark(arguments) for arguments in checks] == [0, 0]

    (tmp_path / "trust.json").write_text('{"certificateKeys": []}')
    assert "Verified OK" not in said()


def test_runs_by_fingerprint_are_told_as_leads(alice_actor):
    run = factories.finished_fingerprint_run(alice_actor, probes=20)
    files = built(report_on(alice_actor, run))
    page = files.html.decode()
    for words in (
        "Agreement on mistakes",
        "This is a lead, not a proof.",
        "19 of other data, 19 of same data, 19 of same data and architecture",
        "0 of 27 that did not set the threshold: at most 10.5 % (95 %)",
        "a model that is as independent as those of the null pool",
        "the log before the suspect was asked. A fingerprint rests on no secret.",
        "Ranked, with fingerprints.",
    ):
        assert escape(words) in page, words
    assert "protected under a secret key" not in page
    assert squeezed("Null pool") in pdf_text(files)
