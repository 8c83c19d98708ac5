"""The registration that a run rests on, read from signed bytes: what its row says is not enough."""

from ledger.genuine import Genuine, certificate_genuine
from ledger.models import Certificate
from spellmark.certificates.statements import Registration
from spellmark.errors import SpellmarkError
from verification.models import Run


def run_registration(run: Run, problems: list[str]) -> Genuine | None:
    """The registration that the run rests on, where its signed bytes bear the run's row out.

    None where they do not: then `problems` gets a sentence that says why.
    """
    row = Certificate.objects.filter(digest=run.registration_digest).first()
    if row is None:
        problems.append("The registration that the run names is not kept here.")
        return None
    found = read_genuine(row, "registration", problems)
    said = found.statement if found else None
    if found is None or not isinstance(said, Registration):
        return None
    commitment = run.protection.commitment if run.protection else None
    wanted = (commitment.digest, commitment.binding) if commitment else None
    if found.index != run.registration_index:
        problems.append(
            f"The run says that its registration is entry {run.registration_index} of the log, "
            f"but it is entry {found.index}."
        )
    elif said.model_digest != run.owners.root_digest:
        problems.append("The registration is of another model than the run’s.")
    elif wanted is not None and (said.commitment, said.binding) != wanted:
        problems.append("The registration names another commitment than the run’s.")
    elif found.revoked:
        problems.append("The registration was revoked.")
    else:
        return found
    return None


def read_genuine(row: Certificate, what: str, problems: list[str]) -> Genuine | None:
    """The certificate, or None and a sentence in `problems`."""
    try:
        return certificate_genuine(row)
    except SpellmarkError as error:
        problems.append(f"The {what}’s certificate does not hold: {error.message}")
        return None
