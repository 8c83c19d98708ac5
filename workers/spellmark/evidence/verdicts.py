"""The words of every verdict, and the two classes of evidence that one can rest on."""

MATCH, NO_MATCH, INCONCLUSIVE = VERDICTS = ("match", "no match", "inconclusive")

# By a committed key, with an exact p-value; or a lead, ranked among innocent models.
VERIFIED, INDICATIVE = EVIDENCE_CLASSES = ("verified", "indicative")
