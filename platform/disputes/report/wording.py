"""The report's fixed sentences: what its words mean, said to people who do not work with models."""

FAILED, CANCELLED, UNFINISHED = "failed", "cancelled", "unfinished"

OUTCOMES = ("match", "no match", "inconclusive", FAILED, CANCELLED)

EVIDENCE_CLASSES = {
    "verified": (
        "The owner’s secret was committed to before the suspect was asked, what was asked follows "
        "from random values that the owner did not choose, and the p-value is exact. Such a "
        "verdict can stand by itself, within the limits stated in this report."
    ),
    "indicative": (
        "The suspect was compared with independent models. Such a verdict is a lead; it is never "
        "proof by itself."
    ),
}

ACCESS_LEVELS = {
    "labels": "labels: for each image only the class that the suspect chose was visible",
    "probabilities": "probabilities: the suspect showed a probability for every class; the test "
    "uses only the class it chose",
    "scores": "scores: the suspect showed a score for every class; the test uses only the class it "
    "chose",
    "none": "none: the suspect gave no usable answer",
}

# What an outcome means when its run has no figures to speak of.
MEANINGS = {
    "inconclusive": "This run does not decide: it speaks neither for nor against the suspect.",
    FAILED: "This run broke off before it could decide: it speaks neither for nor against the "
    "suspect.",
    CANCELLED: "This run was cancelled before it could decide: it speaks neither for nor against "
    "the suspect.",
}

REPORT_CARD = {
    "unprotected": "Before the lock was placed",
    "right": "With the owner’s key",
    "plain": "Without any key",
    "wrong_mean": "Under wrong keys, average",
    "wrong_p95": "Under wrong keys, 95th percentile",
    "wrong_max": "Under the best wrong key",
    "wrong_keys": "Wrong keys tried",
    "accuracy_before": "Before the watermark",
    "accuracy_after": "With the watermark",
    "unmarked_recall": "Triggers known before it",
    "recall": "Triggers known with it",
    "triggers": "Triggers",
    "classes": "Classes",
    "styled_before": "In the style, before",
    "styled_after": "In the style, with the feature",
    "test_images": "Images",
    "wrong_key_images": "Images for each wrong key",
}

PROTOCOL = (
    "Committed first. Before a run can start, the protected version and the hash of the owner’s "
    "secret (the commitment) stand in the log. After the commitment had come in, the registry "
    "drew a random value (the binding) that goes into everything derived from the secret, so that "
    "no secret can be searched for that happens to suit a suspect.",
    "Decided first. The method, the false-positive rate, the number of probes and of decoys and "
    "the most queries that may be sent are fixed when the run is made, before the first query. "
    "Transcript and certificate name them.",
    "Not of the owner’s choosing. The choice of the probe images, the decoys and the place of the "
    "owner’s key among them all follow from the run’s random seed.",
    "Exact, with keyed labels. A lock with keyed labels also permutes the classes, by a "
    "permutation that the key derives. If the suspect never depended on the owner’s key, that "
    "permutation is just one among all, whatever the suspect is and however its answers hang "
    "together. The p-value is the share of all permutations under which at least as many answers "
    "would be hits; it is counted, not estimated.",
    "Exact, with the random-key test. Each probe image is shown to the suspect once under the "
    "owner’s key and once under every decoy key; decoys are drawn the way the owner’s key is. If "
    "the suspect never depended on the owner’s key, that key is just one among equals, and each "
    "rank is equally likely for it. The p-value is its rank: (1 + decoys that do as well or "
    "better) / (1 + all decoys). Ties count against the owner.",
    "Exact, with triggers. Images and labels of a trigger watermark follow from the owner’s "
    "secret, the owner’s id and the binding; their root stands in the log before the first run. "
    "Each label is uniform and independent of everything else, so a suspect that never depended on "
    "the key gives it with a chance of one in as many as there are classes, whatever it answers. "
    "Every run opens triggers that no run opened before, and its p-value counts the looks, the "
    "runs and the owner’s keys before it. Nobody is asked unless the owner’s own model knows nine "
    "in ten of its triggers and does its task. At least 30 models of the null pool, some of "
    "each kind, have to be asked about the same triggers before there is a match, and a single one "
    "that passes makes the claim void.",
    "Ranked, with fingerprints. Without a secret a suspect is compared as it is: by the owner’s "
    "own mistakes, by which inputs it finds alike, or by its weights. Its score is ranked among "
    "models that are known to be innocent (the null pool), which was fixed before the suspect was "
    "asked. Half of them, drawn by the run’s random seed, set the threshold; the other half tell "
    "how often it accuses an innocent model. If it accuses one, the claim is void. A match is a "
    "lead, never proof by itself.",
    "Ranked, with an external feature. The owner’s secret and the binding give a style; the "
    "owner’s model learnt to bear images in it, with their true labels. How well the suspect bears "
    "it is ranked in the null pool, as fingerprints are, and again under a style that nobody "
    "holds, drawn by the run’s random seed: a suspect whose answers stand out there half as far "
    "bears styles in general, and the run does not decide. A match is a lead, never proof by "
    "itself.",
    "No query twice. Each query is recorded before it is sent. One that fails or is lost is not "
    "sent again; its probe is then left out under all keys alike.",
    "Everything is reported. A run that joined a case cannot leave it. Failed, cancelled and "
    "inconclusive runs stand beside the others, and runs of the same owner outside the case are "
    "listed too.",
    "Signed and logged. The verdict is signed and entered in an append-only log. The log cannot "
    "be changed unnoticed by anyone who holds an earlier checkpoint of it: it is tamper-evident.",
)

GLOSSARY = (
    (
        "p-value",
        "how likely it is that a model that never met the protection shows a result at least this "
        "strong; not the probability that the suspect is innocent",
    ),
    (
        "α (alpha)",
        "the false-positive rate fixed in advance: the chance with which the rule calls an "
        "innocent suspect a match",
    ),
    ("secret key", "32 random bytes that only the owner has; the registry keeps its hash alone"),
    ("sub-key", "one of the keys, derived from the secret key, that share a lock"),
    (
        "keyed labels, hit",
        "a lock’s labels permuted by the key, so that the locked model gives other class names "
        "than its own; an answer that is the one the key stands for",
    ),
    ("decoy key", "a random key that protects nothing, drawn the way the owner’s key is"),
    (
        "null pool",
        "reference models that are known to be independent of the owner’s: of other data, of the "
        "same data, and of the same data and architecture",
    ),
    ("probe", "a test image, shown to the suspect under the keys of the run"),
    ("digest", "a SHA-256 hash: a fingerprint of a file that changes if one bit of it changes"),
    (
        "log, checkpoint",
        "an append-only list of all certificates and registrations; the signed statement of its "
        "length and of its root, the one digest that covers everything in it",
    ),
    ("inclusion proof", "the digests that lead from one entry of the log to a checkpoint’s root"),
)
