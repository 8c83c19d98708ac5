"""The earlier registration wins: a match on what somebody else registered before is none.

Whoever registers a stolen model late can claim it back from its owner by every test there is, for
the copy is a copy. What tells them apart is the order of the log (demand 1). The standard library
alone: outsiders redo it.
"""

from spellmark.evidence.verdicts import INCONCLUSIVE, MATCH


def held_against(verdict: str, reason: str, earlier: int | None) -> tuple[str, str]:
    """The verdict and reason that are left of a test's.

    earlier: the log entry by which another owner registered the suspect's very file before the
    claim's own registration; None where none is known.
    """
    if earlier is None or verdict != MATCH:
        return verdict, reason
    return INCONCLUSIVE, (
        f"Entry {earlier:,} of the log is another owner’s registration of the suspect’s very file, "
        "and is earlier than the one that this claim rests on. The earlier one wins, whatever the "
        f"test says: {reason}"
    )
