"""How an outsider checks a report: what to type, which keys to trust, what the evidence holds."""

from collections.abc import Sequence
from itertools import chain

from django.conf import settings

from disputes.models import Report
from disputes.report.content import Fact, Step, Table
from disputes.report.evidence import RunEvidence
from disputes.report.sections import outcome
from ledger.selectors import trust, witnessed_policy
from spellmark.certificates import certificate
from spellmark.certificates.statements import PAYLOAD_TYPE


def check_steps(report: Report, evidence: Sequence[RunEvidence]) -> tuple[Step, ...]:
    """The steps in order. Where no run has a certificate there is nothing signed to check."""
    name = f"report-{report.number}"
    steps = [
        Step(
            "Get the trust file by another way",
            "It holds the public keys that everything is checked against. Ask whoever runs the "
            f"registry at {settings.PUBLIC_URL} for it, not whoever handed you this report. Save "
            "it as trust.json beside the evidence, and compare it with the keys below. A list of "
            "revocations that is newer than the one in the evidence is at "
            f"{settings.PUBLIC_URL}/api/v1/ledger/revocations, and needs no account.",
        ),
        Step("Unpack the evidence", "", (f"unzip {name}.zip -d {name}", f"cd {name}")),
    ]
    certified = [item for item in evidence if item.bundle is not None]
    if certified:
        steps += [_with_spellmark(certified), *_with_openssl(certified[0])]
    return tuple(steps)


def _with_spellmark(certified: Sequence[RunEvidence]) -> Step:
    policy, witnesses = "", ""
    if witnessed_policy():
        policy = " --policy policy.txt"
        witnesses = (
            " It also checks that the witnesses of policy.txt cosigned the log: ask for that file "
            "by another way, too."
        )
    commands = [
        (
            f"spellmark verify {item.folder}/{part}.zip \\",
            f"  --trust ../trust.json --revocations revocations.json{policy}",
        )
        for item in certified
        for part in ("bundle", "registration")
    ]
    return Step(
        "Check it with Spellmark, offline",
        "Each command must end with success. It needs no network and no database. It checks the "
        "signatures, the log proofs and the transcripts, and computes every p-value again. The "
        f"entries, digests and commitments that it names must be those of this report.{witnesses} "
        "Here ./spellmark is a copy of Spellmark’s repository; whoever runs the registry can say "
        f"where to get it. The page {settings.PUBLIC_URL}/verifier checks all but the p-values and "
        "timestamps in a browser, and can be saved.",
        ("pip install ./spellmark", *chain(*commands)),
    )


def _with_openssl(item: RunEvidence) -> tuple[Step, ...]:
    assert item.bundle is not None
    keyid = certificate.loads(item.bundle.certificate).keyid
    return (
        Step(
            "Or check a signature with openssl alone",
            f"Here that of run {item.number}; the others go the same way. It must say “Verified "
            "OK”. Then statement.json is what was signed: read it. The last line must print the "
            "digest of the subject “transcript” in it.",
            (
                f"unzip {item.folder}/bundle.zip -d check && cd check",
                """jq -r --arg key \\""",
                f"  {keyid} \\",
                """  '.certificateKeys[] | select(.keyid == $key) | .publicKey' \\""",
                """  ../../trust.json > key.pem""",
                """sed 's/.*"payload":"\\([^"]*\\)".*/\\1/' certificate.sigstore.json \\""",
                "  | base64 -d > statement.json",
                """sed 's/.*"sig":"\\([^"]*\\)".*/\\1/' certificate.sigstore.json \\""",
                "  | base64 -d > signature.der",
                f"printf 'DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} %d ' \\",
                "  $(wc -c < statement.json) > signed.bin",
                "cat statement.json >> signed.bin",
                "openssl dgst -sha256 -verify key.pem -signature signature.der signed.bin",
                "sha256sum transcript.jsonl",
            ),
        ),
        Step(
            "Check its place in the log",
            "The log’s entry is what this prints. Any verifier for c2sp.org/tlog-proof takes it, "
            "with certificate.tlog-proof and the log’s key.",
            (
                """printf '{"kind":"certificate/v1","sha256":"%s"}' \\""",
                "  $(sha256sum < signed.bin | cut -c 1-64)",
            ),
        ),
    )


def trusted_keys() -> Table:
    """What an outsider's trust file must hold too."""
    keys = trust()
    return Table(
        "Keys of the registry",
        (
            Fact("Certificate keys, SHA-256", tuple(keys.by_keyid()), mono=True),
            Fact("Log keys", tuple(key.verifier.vkey for key in keys.log_keys), mono=True),
        ),
        note="Your trust file must name the same.",
    )


def evidence_files(evidence: Sequence[RunEvidence]) -> tuple[tuple[str, str], ...]:
    """The evidence's files and what they are; runs without a file are named too."""
    rows = [
        ("README.txt", "how to check the evidence"),
        ("report.pdf, report.html", "this report, as a document and as a page"),
        ("trust.json", "the registry’s keys; get them by another way too"),
        ("trusted_root.json", "the log’s keys and timestamp authorities for Sigstore’s tools"),
        ("revocations.json", "what had been withdrawn by then; get a newer list by another way"),
    ]
    if witnessed_policy():
        rows.append(("policy.txt", "which witnesses must have cosigned the log"))
    for item in evidence:
        of = f"run {item.number}, {outcome(item.run)}"
        if item.bundle is not None:
            rows += [
                (
                    f"{item.folder}/bundle.zip",
                    f"{of}: certificate, log proof, transcript, raw answers",
                ),
                (f"{item.folder}/registration.zip", "the registration it rests on, with log proof"),
            ]
        elif item.transcript is not None:
            rows.append((f"{item.folder}/transcript.jsonl", f"{of}: what was asked and answered"))
        else:
            rows.append((item.folder, f"{of}: nothing was asked, so there is no file"))
    return tuple(rows)
