"""`verify`: check an evidence bundle, offline."""

import argparse
import json
from pathlib import Path
from typing import Any

from spellmark.commands import OK, REFUSED


def add(commands: Any) -> None:
    """Add the command to the parser."""
    verify = commands.add_parser("verify", help="check an evidence bundle, offline")
    verify.add_argument("bundle", type=Path)
    verify.add_argument("--trust", type=Path, required=True, help="the trust file")
    verify.add_argument(
        "--revocations", type=Path, help="the issuer's list of revocations, as new as you can get"
    )
    verify.add_argument(
        "--policy", type=Path, help="a tlog-policy: which witnesses must have cosigned the log"
    )
    verify.add_argument("--json", action="store_true", help="print one JSON object")
    verify.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    from spellmark.certificates import revocations
    from spellmark.certificates.policy import Policy
    from spellmark.certificates.trust import Trust
    from spellmark.certificates.verify import verify_bundle

    revoked = revocations.load(options.revocations) if options.revocations else None
    policy = Policy.load(options.policy) if options.policy else None
    report = verify_bundle(options.bundle, Trust.load(options.trust), revoked, policy)
    if options.json:
        checks = [vars(check) for check in report.checks]
        print(json.dumps({"passed": report.passed, "checks": checks}, indent=2))
        return OK if report.passed else REFUSED
    for check in report.checks:
        mark = {True: "pass", False: "FAIL", None: "  – "}[check.passed]
        print(f"{mark}  {check.name:<11} {_printable(check.detail)}")
    print("accepted" if report.passed else "REFUSED: do not rely on this bundle")
    return OK if report.passed else REFUSED


def _printable(text: str) -> str:
    """Text from a bundle without control characters, which could rewrite the terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)
