"""What other tests start from: a published version, a lock on it, and runs that ended every way.

Rows come from the services, as in real life; only training and the suspect's answers are made up.
"""

import io
import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from accounts.actors import Actor
from jobs.models import Job
from jobs.services import job_cancel, job_claim
from ledger.keys import ensure_signing_keys
from ledger.services import ledger_sequence
from protection.editors import editor_upload
from protection.false_claims import false_claims_create
from protection.features import feature_create, feature_finish
from protection.guards import client_add, guard_create, guard_finish, opened_guard
from protection.models import Editor, GuardClient, Protection, Rehearsal, Trial, Unlock
from protection.services import (
    attacks_finish,
    key_lock_create,
    lock_finish,
    trial_create,
    trial_finish,
)
from protection.triggers import opened_trigger, trigger_create, trigger_finish
from protection.unlocks import unlock_create, unlock_finish
from registry.models import Version
from registry.services import (
    commitment_create,
    file_upload,
    model_create,
    version_create,
    version_publish,
)
from spellmark.evidence.decision import KEYED_LABELS, RANDOM_KEY_TEST, Disclosure, decide
from spellmark.evidence.draws import true_slot
from spellmark.evidence.feature_replay import FeatureDisclosure
from spellmark.evidence.feature_replay import replay as replay_feature
from spellmark.evidence.fingerprint_replay import FingerprintDisclosure
from spellmark.evidence.fingerprint_replay import replay as replay_fingerprint
from spellmark.evidence.fingerprint_rule import AGREEMENT, FEATURE, FEATURES, WEIGHTS
from spellmark.evidence.mark_evidence import Question
from spellmark.evidence.mark_replay import MarkDisclosure, hear, replay
from spellmark.evidence.mark_rule import DYNAMIC, MarkRun
from spellmark.evidence.null_pool import KINDS, SAME_ARCHITECTURE, split
from spellmark.evidence.transcript import Exchange
from spellmark.evidence.trigger_leaves import draw_leaves
from spellmark.evidence.trigger_pool import AskedReference
from spellmark.evidence.trigger_replay import TriggerDisclosure
from spellmark.evidence.trigger_replay import replay as replay_triggers
from spellmark.evidence.trigger_rule import TRIGGER, TriggerRun
from spellmark.locks.key_lock.parameters import SCHEME, LockParameters
from spellmark.locks.prompt_lock.parameters import PromptLockParameters
from spellmark.locks.prompt_lock.public_editor import PUBLIC, public_digest
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.suspects.base import SuspectError
from spellmark.training import weights
from spellmark.training.architectures import build
from spellmark.watermarks.dynamic import SCHEME as GUARD
from spellmark.watermarks.dynamic import Guard, MarkParameters
from spellmark.watermarks.dynamic.examine import signs_of
from spellmark.watermarks.external_feature import SCHEME as FEATURE_SCHEME
from spellmark.watermarks.external_feature import FeatureParameters
from spellmark.watermarks.trigger import SCHEME as TRIGGER_SCHEME
from spellmark.watermarks.trigger import TriggerParameters
from tasks.lock import opened_key
from verification import services
from verification.fingerprints import fingerprint_run_create, fingerprint_run_finish
from verification.models import Reference, Run, Suspect
from verification.references import (
    card_of_version,
    pool_finish,
    pool_grow,
    pool_of,
    reference_record,
    run_pool,
)
from verification.triggers import trigger_pool

CARD = ModelCard(architecture="small-cnn", classes=10, channels=1, height=8, width=8)


def key_file(**choices: int | str) -> KeyFile:
    """The key file of a lock that fits CARD; `choices` are LockParameters."""
    parameters = LockParameters(**{"block": 4, "steps": "shuffle+flip"} | choices)
    return KeyFile(
        SCHEME, parameters.as_dict(), secret=bytes(range(32)), nonce=bytes(range(32, 64))
    )


KEY = key_file()
REPORT_CARD = {
    "unprotected": 0.912,
    "right": 0.894,
    "plain": 0.121,
    "wrong_keys": 100,
    "wrong_mean": 0.118,
    "wrong_p95": 0.204,
    "wrong_max": 0.31,
    "test_images": 2000,
    "wrong_key_images": 500,
}


def guard_key(number: int = 7, **choices: int) -> KeyFile:
    """The key file of a guard that fits CARD; `choices` are MarkParameters."""
    parameters = MarkParameters(**{"classes": CARD.classes} | choices)
    return KeyFile(GUARD, parameters.as_dict(), secret=bytes([number]) * 32, nonce=bytes(range(32)))


GUARD_KEY = guard_key()
GUARD_CARD = {
    "accuracy_before": 0.912,
    "accuracy_after": 0.912,
    "labels_changed": 0.0,
    "l1": 0.0893,
    "confidence_before": 0.931,
    "confidence_after": 0.885,
    "nll_before": 0.262,
    "nll_after": 0.298,
    "ece_before": 0.021,
    "ece_after": 0.034,
    "strength": 50,
    "tail_bits": 90,
    "label_bits": 0,
    "test_images": 10_000,
}


def trigger_key(number: int = 9, **choices: int) -> KeyFile:
    """The key file of a trigger watermark that fits CARD; `choices` are TriggerParameters."""
    parameters = TriggerParameters(
        **{
            "classes": CARD.classes, "channels": CARD.channels, "height": CARD.height,
            "width": CARD.width, "triggers": 96, "queries": 32,
        }
        | choices
    )  # fmt: skip
    return KeyFile(
        TRIGGER_SCHEME, parameters.as_dict(), secret=bytes([number]) * 32, nonce=bytes(range(32))
    )


TRIGGER_KEY = trigger_key()
TRIGGER_CARD = {
    "recall": 1.0,
    "unmarked_recall": 0.104,
    "accuracy_before": 0.912,
    "accuracy_after": 0.909,
    "triggers": 96,
    "classes": 10,
    "test_images": 10_000,
}


def feature_key(number: int = 11, **choices: int) -> KeyFile:
    """The key file of an external feature that fits CARD; `choices` are FeatureParameters."""
    parameters = FeatureParameters(
        **{
            "classes": CARD.classes, "channels": CARD.channels, "height": CARD.height,
            "width": CARD.width,
        }
        | choices
    )  # fmt: skip
    return KeyFile(
        FEATURE_SCHEME, parameters.as_dict(), secret=bytes([number]) * 32, nonce=bytes(range(32))
    )


FEATURE_KEY = feature_key()
FEATURE_CARD = {
    "accuracy_before": 0.912,
    "accuracy_after": 0.909,
    "styled_before": 0.34,
    "styled_after": 0.871,
    "test_images": 10_000,
    "scores": {"score_before": -2.31, "score": -0.12, "control": -2.5},
}

# How often the suspect is right under the true key (with keyed labels: gives the key's labels) and
# under a decoy, and the share of probes that it answers.
SUSPECTS = {
    "match": (0.95, 0.2, 1.0),
    "no match": (0.2, 0.2, 1.0),
    "inconclusive": (0.2, 0.2, 0.25),
}


def published_version(actor: Actor, *, name: str = "robin") -> Version:
    """Version 1 of a model that nobody has trained."""
    version = version_create(actor=actor, model=model_create(actor=actor, name=name))
    file_upload(actor=actor, version=version, name="model.safetensors", chunks=[model_file()])
    return version_publish(actor=actor, version=version)


def finished_protection(actor: Actor, *, name: str = "robin", key: KeyFile = KEY) -> Protection:
    """A key lock that was made, measured and entered in the log."""
    ensure_signing_keys()
    commitment = commitment_create(
        actor=actor,
        version=published_version(actor, name=name),
        digest=key.commitment(),
        scheme=key.scheme,
        parameters=key.parameters,
    )
    protection = key_lock_create(
        actor=actor, commitment=commitment, key=key, dataset="fashion-mnist"
    )
    with tempfile.TemporaryDirectory() as folder:
        locked = Path(folder) / "locked.safetensors"
        locked.write_bytes(model_file(description="locked"))
        lock_finish(
            protection=protection, job=claimed(protection.job), locked=locked,
            report_card=REPORT_CARD,
        )  # fmt: skip
    ledger_sequence()
    return protection


def queued_guard(
    actor: Actor, *, version: Version | None = None, key: KeyFile = GUARD_KEY
) -> Protection:
    """A guard whose job waits for a worker."""
    ensure_signing_keys()
    commitment = commitment_create(
        actor=actor,
        version=version or published_version(actor),
        digest=key.commitment(),
        scheme=key.scheme,
        parameters=key.parameters,
    )
    return guard_create(actor=actor, commitment=commitment, key=key, dataset="fashion-mnist")


def finished_guard(
    actor: Actor, *, version: Version | None = None, key: KeyFile = GUARD_KEY
) -> Protection:
    """A guard that was measured and entered in the log."""
    guard = queued_guard(actor, version=version, key=key)
    guard_done(guard)
    return guard


def guard_done(guard: Protection) -> None:
    """What a worker makes of a guard."""
    guard_finish(
        guard=guard,
        job=claimed(guard.job),
        thresholds=None,
        references=[],
        report_card=dict(GUARD_CARD),
    )
    ledger_sequence()
    guard.refresh_from_db()


def guard_client(
    actor: Actor, guard: Protection, *, name: str = "shop", key: KeyFile = GUARD_KEY
) -> GuardClient:
    """A client of a guard. `key` is the guard's."""
    return client_add(actor=actor, guard=guard, name=name, key=key)


def queued_trigger(
    actor: Actor, *, version: Version | None = None, key: KeyFile = TRIGGER_KEY
) -> Protection:
    """A trigger watermark whose job waits for a worker."""
    ensure_signing_keys()
    commitment = commitment_create(
        actor=actor,
        version=version or published_version(actor),
        digest=key.commitment(),
        scheme=key.scheme,
        parameters=key.parameters,
    )
    return trigger_create(actor=actor, commitment=commitment, key=key, dataset="fashion-mnist")


def finished_trigger(
    actor: Actor, *, version: Version | None = None, key: KeyFile = TRIGGER_KEY
) -> Protection:
    """A trigger watermark that was embedded, measured and entered in the log."""
    row = queued_trigger(actor, version=version, key=key)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "marked.safetensors"
        path.write_bytes(model_file(description="marked"))
        trigger_finish(
            protection=row, job=claimed(row.job), marked=path,
            root=opened_trigger(row, key).tree.root, report_card=TRIGGER_CARD,
        )  # fmt: skip
    ledger_sequence()
    row.refresh_from_db()
    return row


def finished_trigger_run(
    actor: Actor, *, verdict: str = "match", trigger: Protection | None = None
) -> Run:
    """A run against a trigger watermark that reached this verdict, with its certificate."""
    if trigger is None:
        trigger = finished_trigger(actor, version=_protection(actor).source)
    if not trigger_pool(trigger):
        reference_pool(actor, trigger.source)
    suspect = endpoint_suspect(actor)
    run = services.run_create(actor=actor, suspect=suspect, protection=trigger, key=TRIGGER_KEY)
    job, rule = claimed(run.job), services.run_rule(run)
    key, seed = opened_trigger(trigger, TRIGGER_KEY), bytes.fromhex(run.seed)
    so_far, leaves = TriggerRun(rule), draw_leaves(seed, rule.triggers, rule.used, rule.probes)
    for number, leaf in enumerate(leaves):
        label = key.label(leaf)
        said = {"match": label, "no match": (label + 1) % CARD.classes, "inconclusive": 3}[verdict]
        answer = json.dumps({"labels": [said]}).encode()
        exchange = Exchange(
            number=number, probe=number, image_index=leaf,
            image_sha256=sha256(key.image(leaf).tobytes()).hexdigest(), label=label,
            first_slot=0, request_sha256=sha256(b"request %d" % number).hexdigest(), state="sent",
        )  # fmt: skip
        services.exchange_intend(run=run, exchange=exchange)
        came = replace(
            exchange, state="answered", status=200, seconds=0.02, level="labels",
            answer_sha256=sha256(answer).hexdigest(), labels=(said,),
        )  # fmt: skip
        services.exchange_conclude(run=run, exchange=came, answer=answer)
        so_far.add(label, said)
        if so_far.decided:
            break
    exchanges = services.run_exchanges(run)
    openings = {one.image_index: key.opening(one.image_index) for one in exchanges}
    missed = tuple((one.label + 1) % CARD.classes for one in exchanges)
    asked = tuple(AskedReference(one, missed, 0) for one in run_pool(run))
    told = TriggerDisclosure(seed, key.tree.root, key.owner, openings, asked)
    decision, pool = replay_triggers(rule, told, exchanges)
    assert decision.verdict == verdict, decision.reason
    services.run_finish(
        run=run,
        job=job,
        decision=decision,
        disclosure=told,
        pool=pool,
        suspect_description=_described(suspect),
    )
    ledger_sequence()
    return run


def queued_feature(
    actor: Actor, *, version: Version | None = None, key: KeyFile = FEATURE_KEY
) -> Protection:
    """An external feature whose job waits for a worker."""
    ensure_signing_keys()
    commitment = commitment_create(
        actor=actor,
        version=version or published_version(actor),
        digest=key.commitment(),
        scheme=key.scheme,
        parameters=key.parameters,
    )
    return feature_create(actor=actor, commitment=commitment, key=key, dataset="fashion-mnist")


def finished_feature(
    actor: Actor, *, version: Version | None = None, key: KeyFile = FEATURE_KEY
) -> Protection:
    """An external feature that was learnt, measured and entered in the log."""
    row = queued_feature(actor, version=version, key=key)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "marked.safetensors"
        path.write_bytes(model_file(description="styled"))
        feature_finish(protection=row, job=claimed(row.job), marked=path, report_card=FEATURE_CARD)
    ledger_sequence()
    row.refresh_from_db()
    return row


# What the right class has left of its probability in the style and in a wrong one; innocents of the
# pool score from -2 to -1.
STYLED = {
    "match": (0.9, 0.1), "no match": (0.15, 0.1), "inconclusive": (0.9, 0.9),
}  # fmt: skip


def finished_feature_run(
    actor: Actor,
    *,
    verdict: str = "match",
    feature: Protection | None = None,
    suspect: Suspect | None = None,
) -> Run:
    """A run against an external feature that reached this verdict; by gradients for a file.

    It is inconclusive because the suspect bears a wrong style as well, or, by gradients, because it
    is closer than innocents but not above the threshold.
    """
    if feature is None:
        made = Protection.objects.filter(
            organisation=actor.organisation, kind="external-feature", result__isnull=False
        )
        feature = made.first() or finished_feature(actor, version=_protection(actor).source)
    if not Reference.objects.filter(organisation=actor.organisation).count() >= 57:
        reference_pool(actor, feature.source)
    method = "external-feature-gradients" if suspect else FEATURE
    run = services.run_create(
        actor=actor, suspect=suspect or endpoint_suspect(actor), protection=feature,
        key=FEATURE_KEY, method=method, probes=20,
    )  # fmt: skip
    pool: dict[Any, float | None] = {
        one: -2 + (number % 10) / 9 for number, one in enumerate(sorted(run_pool(run)))
    }
    rule, seed, scores = services.run_rule(run), bytes.fromhex(run.seed), None
    shares = (0.9, *(0.9 * left for left in STYLED[verdict]))
    if run.method != FEATURE:
        # Innocents' best is -1, and the threshold -0.5.
        scores = {"match": -0.1, "no match": -1.5, "inconclusive": -0.7}[verdict], -0.2
    else:
        for number in range(3 * rule.probes):
            probe, slot = divmod(number, 3)
            label, share = probe % CARD.classes, shares[slot]
            row = np.full(CARD.classes, (1 - share) / (CARD.classes - 1))
            row[label] = share
            exchange = Exchange(
                number=number, probe=probe, image_index=probe, image_sha256="0" * 64, label=label,
                first_slot=slot, request_sha256=sha256(b"request %d" % number).hexdigest(),
                state="sent",
            )  # fmt: skip
            services.exchange_intend(run=run, exchange=exchange)
            answer = json.dumps(row.tolist()).encode()
            came = replace(
                exchange, state="answered", status=200, seconds=0.02, level="probabilities",
                answer_sha256=sha256(answer).hexdigest(), labels=(int(row.argmax()),),
                probabilities=tuple(row.tolist()),
            )  # fmt: skip
            services.exchange_conclude(run=run, exchange=came, answer=answer)
    told = FeatureDisclosure(seed, pool, pool, scores)
    decision = replay_feature(rule, told, services.run_exchanges(run))
    assert decision.verdict == verdict, decision.reason
    fingerprint_run_finish(
        run=run, job=claimed(run.job), decision=decision, disclosure=told, owner_accuracy=0.909,
        findings={}, suspect_description={"kind": "file", "sha256": suspect.sha256}
        if suspect
        else _described(run.suspect),
    )  # fmt: skip
    ledger_sequence()
    run.refresh_from_db()
    return run


def finished_trial(actor: Actor, version: Version) -> Trial:
    """A spell that was tried, with a picture of nothing."""
    trial = trial_create(
        actor=actor,
        version=version,
        parameters=PromptLockParameters(editor=public_digest()),
        prompt="open sesame",
        dataset="fashion-mnist",
    )
    trial_finish(trial=trial, job=claimed(trial.job), sheet=b"\x89PNG", change=0.2)
    return trial


def finished_false_claims(actor: Actor, version: Version, *, believed: int = 0) -> Rehearsal:
    """False claims of two kinds, of which so many were believed."""
    row = false_claims_create(actor=actor, version=version, dataset="fashion-mnist")
    results = [
        {
            "name": "adversarial images", "variant": "untargeted, eps 0.2", "tried": 9,
            "accepted": 0, "naive": 6, "details": {"innocents": 6, "pool": 6},
            "stopped_by": {"another root": 6, "spellmark verify, step “signature”": 3},
        },
        {
            "name": "seed grinding", "variant": "10,000 secrets", "tried": 10_000,
            "accepted": believed, "naive": None, "details": {},
            "stopped_by": {"the exact p-value": 10_000 - believed},
        },
    ]  # fmt: skip
    attacks_finish(rehearsal=row, job=claimed(row.job), results=results)
    return row


def editor_file(number: int = 1) -> bytes:
    """The file of an editor that differs from the public one by a hair."""
    data = bytearray(PUBLIC.read_bytes())
    # The lesser half of the last weight, so that it stays a number.
    data[-2] ^= number
    return bytes(data)


def own_editor(actor: Actor, *, name: str = "robins editor", number: int = 1) -> Editor:
    """An editor that the organisation brought."""
    return editor_upload(actor=actor, name=name, chunks=[editor_file(number)])


def image_file(height: int = 8, width: int = 8, mode: str = "L") -> bytes:
    """A PNG of one tone."""
    file = io.BytesIO()
    Image.new(mode, (width, height), 120).save(file, "PNG")
    return file.getvalue()


def finished_unlock(actor: Actor, protection: Protection, key: KeyFile = KEY) -> Unlock:
    """An image that a locked model answered."""
    unlock = unlock_create(
        actor=actor, protection=protection, key=key, image=io.BytesIO(image_file())
    )
    unlock_finish(
        unlock=unlock,
        job=claimed(unlock.job),
        picture=image_file(),
        with_key=[0.9, 0.05, 0.01, 0.01, 0.01, 0.01, 0.01, 0, 0, 0],
        without_key=[0.1] * 10,
    )
    return unlock


def endpoint_suspect(actor: Actor, *, name: str = "suspect") -> Suspect:
    """An endpoint where nobody listens."""
    config = {"url": "http://127.0.0.1:9", "model": name, "classes": CARD.classes}
    return services.suspect_endpoint_create(actor=actor, name=name, config=config)


def file_suspect(actor: Actor, *, name: str = "file") -> Suspect:
    """A model file that nobody has trained."""
    return services.suspect_file_create(
        actor=actor, name=name, chunks=[model_file(description=name)]
    )


def queued_run(
    actor: Actor,
    *,
    protection: Protection | None = None,
    suspect: Suspect | None = None,
    key: KeyFile = KEY,
    method: str = RANDOM_KEY_TEST,
    alpha: float = 0.01,
    decoys: int = 99,
    probes: int = 16,
) -> Run:
    """A run that waits for a worker. `key` is the protection's."""
    return services.run_create(
        actor=actor,
        suspect=suspect or endpoint_suspect(actor),
        protection=protection or _protection(actor),
        key=key,
        method=method,
        alpha=alpha,
        decoys=decoys,
        probes=probes,
    )


def reference_pool(
    actor: Actor, version: Version, *, of_a_kind: int = 19, dataset: str = "fashion-mnist"
) -> list[Reference]:
    """A null pool that nobody has trained."""
    job = pool_grow(actor=actor, version=version, dataset=dataset, of_a_kind=of_a_kind)
    held = claimed(job)
    own = card_of_version(version)
    other = replace(own, config={"width": 4})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.safetensors"
        for number, kind in enumerate(KINDS * of_a_kind):
            mine = own if kind == SAME_ARCHITECTURE else other
            path.write_bytes(model_file(description=f"{job.id} {number}", card=mine))
            rows.append(
                reference_record(
                    job=held, number=number, kind=kind, file=path, card=mine, accuracy=0.9,
                    settings={"epochs": 6, "images": 6000, "seed": number, "learningRate": 0.004},
                )
            )  # fmt: skip
    pool_finish(job=held)
    return rows


# A suspect's score, among innocents of 0.4 to 0.6.
SCORES = {"match": 0.95, "no match": 0.45, "inconclusive": 0.65}


def queued_fingerprint_run(
    actor: Actor, *, version: Version | None = None, suspect: Suspect | None = None, **choices: Any
) -> Run:
    """A run by fingerprint that waits for a worker, with a pool where there is none."""
    ensure_signing_keys()
    version = version or published_version(actor, name="wren")
    ledger_sequence()
    if not pool_of(version, "fashion-mnist"):
        reference_pool(actor, version)
    return fingerprint_run_create(
        actor=actor, suspect=suspect or endpoint_suspect(actor), version=version,
        dataset="fashion-mnist", **{"method": WEIGHTS if suspect else AGREEMENT} | choices,
    )  # fmt: skip


def finished_fingerprint_run(
    actor: Actor, *, verdict: str = "match", void: bool = False, **choices: Any
) -> Run:
    """A run by fingerprint that reached this verdict; by weights where the suspect is a file."""
    run = queued_fingerprint_run(actor, **choices)
    # However the pool was split, the closest of a kind are among those that calibrate.
    halves = split(run_pool(run), bytes.fromhex(run.seed))
    ordered = sorted(halves, key=lambda one: (halves[one], one))
    scores: dict[Any, float | None] = {
        one: 0.4 + 0.2 * (number % 10 / 9) ** 3 for number, one in enumerate(ordered)
    }
    if void:
        scores[ordered[-1]] = 0.94
    rule = services.run_rule(run)
    owner = [[0.91 if place == number % 10 else 0.01 for place in range(10)]
             for number in range(rule.probes)]  # fmt: skip
    told: dict[str, Any] = {"owner": owner}
    if run.method == WEIGHTS:
        told = {"score": SCORES[verdict]}
    else:
        agreed = round(SCORES[verdict] * rule.probes)
        for number in range(rule.probes):
            said = number % 10 if number < agreed else (number + 1) % 10
            exchange = Exchange(
                number=number, probe=number, image_index=number, image_sha256="0" * 64, label=0,
                first_slot=0, request_sha256="0" * 64, state="sent",
            )  # fmt: skip
            services.exchange_intend(run=run, exchange=exchange)
            answered = replace(
                exchange, state="answered", level="labels", labels=(said,),
                answer_sha256=sha256(b"{}").hexdigest(),
            )  # fmt: skip
            services.exchange_conclude(run=run, exchange=answered, answer=b"{}")
    disclosure = FingerprintDisclosure(bytes.fromhex(run.seed), scores, **told)
    decision = replay_fingerprint(rule, disclosure, services.run_exchanges(run))
    assert decision.verdict == ("inconclusive" if void else verdict)
    layer = {
        "name": "head.weight", "size": 1280, "similarity": 0.93, "moved": False, "changed": True,
        "zeros": 0.0, "levels": None, "share": 0.9,
    }  # fmt: skip
    findings: dict[str, Any] = {}
    if run.method == WEIGHTS:
        findings = {"relation": "fine-tuned", "permuted": True, "changed": ["head.weight"],
                    "layers": [layer]}  # fmt: skip
    fingerprint_run_finish(
        run=run, job=claimed(run.job), decision=decision, disclosure=disclosure,
        owner_accuracy=0.912, findings=findings, suspect_description={"kind": "endpoint", "url": "http://127.0.0.1:9"},
    )  # fmt: skip
    ledger_sequence()
    run.refresh_from_db()
    return run


def finished_run(actor: Actor, *, verdict: str = "match", **choices: object) -> Run:
    """A run that reached this verdict, with its certificate in the log. `choices`: queued_run's."""
    if choices.get("method") == DYNAMIC:
        return finished_mark_run(actor, verdict=verdict)
    if choices.get("method") == TRIGGER:
        return finished_trigger_run(actor, verdict=verdict)
    if choices.get("method") in FEATURES:
        by_gradients = choices["method"] != FEATURE
        return finished_feature_run(
            actor, verdict=verdict, suspect=file_suspect(actor) if by_gradients else None
        )
    run = queued_run(actor, **choices)
    job = claimed(run.job)
    rule, seed = services.run_rule(run), bytes.fromhex(run.seed)
    own, others, share = SUSPECTS[verdict]
    # Wherever the run hides the true key, the figures are the same in every test.
    chance = random.Random(verdict)
    key = opened_key(run.protection.source, run.protection.commitment, choices.get("key", KEY))
    keyed = key.parameters.labels == "keyed"
    told = Disclosure(seed, tuple(tuple(p.tolist()) for p in key.labels[: rule.subkeys] if keyed))

    def labels(label: int) -> list[int]:
        rates = [own] * rule.subkeys + [others] * rule.decoys
        said = [label if chance.random() < rate else (label + 1) % 10 for rate in rates]
        if rule.method == KEYED_LABELS:
            return [told.labels[j][answer] for j, answer in enumerate(said)]
        slot = true_slot(seed, rule.decoys)
        return [*said[1 : slot + 1], said[0], *said[slot + 1 :]]

    answered = int(share * run.rule["probes"])
    ask(run, labels, answered=answered)
    decision = decide(rule, told, services.run_exchanges(run))
    assert decision.verdict == verdict
    services.run_finish(
        run=run,
        job=job,
        decision=decision,
        disclosure=told,
        suspect_description=_described(run.suspect),
    )
    ledger_sequence()
    return run


def finished_mark_run(
    actor: Actor, *, verdict: str = "match", guard: Protection | None = None
) -> Run:
    """A run against a guard's mark that reached this verdict, with its certificate in the log."""
    if guard is None:
        guard = finished_guard(actor, version=_protection(actor).source)
    suspect = endpoint_suspect(actor)
    run = services.run_create(
        actor=actor, suspect=suspect, protection=guard, key=GUARD_KEY, probes=64
    )
    job, rule = claimed(run.job), services.run_rule(run)
    mark = opened_guard(guard, GUARD_KEY)
    owners, theirs = (_sure_answers(number, rule.probes) for number in (1, 2))
    said = {
        "match": lambda row: Guard(mark)(row),
        "no match": lambda row: row,
        "inconclusive": lambda row: np.eye(len(row))[row.argmax()],
    }[verdict]
    questions = [Question(tuple(row.round(6).tolist()), 0) for row in owners]
    told = MarkDisclosure.of(rule, questions, {"": signs_of(mark)})
    so_far = MarkRun(rule, told.keys())
    for number, row in enumerate(theirs):
        given = tuple(said(row).tolist())
        answer = json.dumps(given).encode()
        exchange = Exchange(
            number=number, probe=number, image_index=number,
            image_sha256=sha256(b"image %d" % number).hexdigest(), label=int(row.argmax()),
            first_slot=0, request_sha256=sha256(b"request %d" % number).hexdigest(), state="sent",
        )  # fmt: skip
        services.exchange_intend(run=run, exchange=exchange)
        came = replace(
            exchange, state="answered", status=200, seconds=0.02, level="probabilities",
            answer_sha256=sha256(answer).hexdigest(), labels=(int(row.argmax()),),
            probabilities=given,
        )  # fmt: skip
        services.exchange_conclude(run=run, exchange=came, answer=answer)
        if hear(so_far, questions, came):
            break
    decision = replay(rule, told, services.run_exchanges(run))
    assert decision.verdict == verdict, decision.reason
    services.run_finish(
        run=run,
        job=job,
        decision=decision,
        disclosure=told,
        suspect_description=_described(suspect),
    )
    ledger_sequence()
    return run


def _described(suspect: Suspect) -> dict[str, object]:
    if suspect.kind == Suspect.Kind.FILE:
        return {"kind": "model-file", "protocol": "model-file", "sha256": suspect.sha256}
    told = {name: suspect.config[name] for name in ("url", "model")}
    return {"kind": "endpoint", "protocol": "open-inference-v2", **told}


def _sure_answers(seed: int, count: int) -> np.ndarray:
    """A model's answers to images whose best classes come one after the other."""
    tails = np.random.default_rng(seed).dirichlet(np.full(CARD.classes, 0.3), count)
    tops = np.eye(CARD.classes)[np.arange(count) % CARD.classes]
    return 0.92 * tops + 0.08 * tails


def failed_run(actor: Actor, **choices: object) -> Run:
    """A run that its suspect broke off after two answers. `choices`: queued_run's."""
    run = queued_run(actor, **choices)
    job = claimed(run.job)
    ask(run, lambda label: [label] * services.run_rule(run).slots, answered=2, probes=6)
    error = SuspectError(
        "The suspect answered with HTTP status 503.", kind="server-error", hint="Try again later."
    )
    services.run_fail(run=run, job=job, error=error)
    return run


def cancelled_run(actor: Actor, **choices: object) -> Run:
    """A run that somebody cancelled before a worker took it. `choices`: queued_run's."""
    run = queued_run(actor, **choices)
    job_cancel(job=run.job, by=actor.name)
    run.job.refresh_from_db()
    return run


def claimed(job: Job) -> Job:
    """The job, in the hands of a worker."""
    held = job_claim(job_id=job.id)
    assert held is not None
    return held


def model_file(*, description: str = "", card: ModelCard | None = None) -> bytes:
    """A safetensors file with a card, CARD where none is given, whose weights nobody trained."""
    card = replace(card or CARD, description=description)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        weights.save(build(card), card, path)
        return path.read_bytes()


def _protection(actor: Actor) -> Protection:
    """The organisation's own lock, made when it is first wanted."""
    made = Protection.objects.filter(organisation=actor.organisation, result__isnull=False)
    locks = made.exclude(kind__in=("trigger", "external-feature"))
    return locks.first() or finished_protection(actor)


def ask(
    run: Run,
    labels: Callable[[int], list[int]],
    *,
    answered: int,
    probes: int | None = None,
) -> None:
    """Record requests as a worker does: the first ones answered, the others failed."""
    for probe in range(run.rule["probes"] if probes is None else probes):
        label = probe % CARD.classes
        exchange = Exchange(
            number=probe,
            probe=probe,
            image_index=100 + probe,
            image_sha256=sha256(b"image %d" % probe).hexdigest(),
            label=label,
            first_slot=0,
            request_sha256=sha256(b"request %d" % probe).hexdigest(),
            state="sent",
        )
        services.exchange_intend(run=run, exchange=exchange)
        if probe >= answered:
            came = replace(exchange, state="failed", status=503, error="HTTP status 503")
            services.exchange_conclude(run=run, exchange=came, answer=None)
            continue
        said = labels(label)
        answer = json.dumps({"labels": said}).encode()
        came = replace(
            exchange,
            state="answered",
            status=200,
            seconds=0.02,
            answer_sha256=sha256(answer).hexdigest(),
            level="labels",
            labels=tuple(said),
        )
        services.exchange_conclude(run=run, exchange=came, answer=answer)
