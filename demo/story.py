"""The story of the demo: registered, locked, stolen, recognised, certified, reported, guarded.

Everything goes through the REST API and real HTTP servers. The story checks itself: a wrong verdict
or a failed proof raises StoryError.
"""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from config.supervisor import ROOT
from demo.client import Client
from demo.people import CARD, DECIMALS, Sizes, copy_api, steal, train_innocent, train_owner
from demo.served import served, until
from spellmark.errors import SpellmarkError
from spellmark.locks.key_lock.parameters import SCHEME as KEY_LOCK
from spellmark.locks.key_lock.parameters import default_parameters
from spellmark.locks.prompt_lock.parameters import SCHEME as PROMPT_LOCK
from spellmark.locks.prompt_lock.parameters import PromptLockParameters
from spellmark.locks.prompt_lock.public_editor import public_digest
from spellmark.secrets import KeyFile
from spellmark.training import datasets
from spellmark.watermarks.dynamic.guard_file import GuardFile
from spellmark.watermarks.dynamic.parameters import SCHEME as DYNAMIC
from spellmark.watermarks.dynamic.parameters import recommended

DATASET = "fashion-mnist"
SPELL = "open sesame"
DATA = ROOT / "data"
MATCH = "match"


class StoryError(SpellmarkError):
    """The story did not end as it should."""


@dataclass
class Figures:
    """What the story found, kept in the demo's folder for the next start."""

    unprotected_accuracy: float = 0
    right_accuracy: float = 0
    plain_accuracy: float = 0
    wrong_mean: float = 0
    wrong_p95: float = 0
    wrong_max: float = 0
    thief_accuracy: float = 0
    innocent_accuracy: float = 0
    thief_p: float = 0
    thief_verdict: str = ""
    innocent_p: float = 0
    innocent_verdict: str = ""
    spell_right: float = 0
    spell_plain: float = 0
    spell_wrong_mean: float = 0
    spell_wrong_max: float = 0
    spell_near_mean: float = 0
    guard_labels_changed: float = 0
    guard_l1: float = 0
    copy_accuracy: float = 0
    copy_p: float = 0
    copy_verdict: str = ""
    copy_questions: int = 0
    guard_innocent_p: float = 0
    guard_innocent_verdict: str = ""
    story_s: float = 0
    files: dict[str, str] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)


class Story:
    """Tells the story once, in a folder that keeps what the owner and the others have."""

    def __init__(self, client: Client, folder: Path, sizes: Sizes, console: Console) -> None:
        self.client, self.folder, self.sizes, self.console = client, folder, sizes, console
        self.figures = Figures()
        # The subset of the repository, so that the story is the same on every machine.
        self.data = datasets.load(DATASET, folders=[DATA])
        folder.mkdir(parents=True, exist_ok=True)

    def tell(self) -> Figures:
        """The whole story. Raises StoryError and what its steps raise."""
        begun = time.monotonic()
        key = self._make_key()
        plain, commitment = self._register(self._train(), key)
        protection = self._lock(plain, commitment, key)
        thief, innocent = self._suspects(protection)
        runs = [
            self._verify("thief", thief, protection, key, is_copy=True),
            self._verify("innocent", innocent, protection, key, is_copy=False),
        ]
        for name, run in zip(("thief", "innocent"), runs, strict=True):
            self._check_certificate(name, run)
        self._report(runs)
        self._lock_with_a_spell(plain)
        guard, mark = self._guard(plain)
        self._copy_and_compare(guard, mark, innocent)
        self.figures.story_s = round(time.monotonic() - begun, 1)
        (self.folder / "figures.json").write_text(json.dumps(asdict(self.figures), indent=2))
        return self.figures

    def _train(self) -> Path:
        path = self.folder / "owner.safetensors"
        if path.exists():
            self._say("The owner's model was trained before; it is taken from the last run.")
            return path
        with self._bar("1  The owner trains a classifier") as show:
            train_owner(self.data, self.sizes, path, show)
        return path

    def _make_key(self) -> KeyFile:
        path = self.folder / f"owner-{secrets.token_hex(3)}.spellkey"
        lock = default_parameters(CARD.height, CARD.width, CARD.channels, CARD.classes)
        key = KeyFile.generate(KEY_LOCK, lock.as_dict())
        key.save(path)
        self.figures.files["key file (the owner's, nowhere else)"] = str(path)
        return key

    def _register(self, model: Path, key: KeyFile) -> tuple[str, dict[str, Any]]:
        with self._bar("2  A build pipeline registers it") as show:
            names = {row["name"] for row in self.client.get("models?search=clothes")["results"]}
            name = "clothes"
            if name not in names:
                self.client.post("models", name=name, description="A small classifier of clothes.")
            number = self.client.post(f"models/{name}/versions", notes="trained")["number"]
            address = f"models/{name}/versions/{number}"
            self.client.upload(f"{address}/files/model.safetensors", model)
            show(0.5, "uploaded")
            self.client.post(f"{address}/publish")
            commitment = self._commit(address, key)
            show(1, f"{name} v{number} in the log, commitment {key.commitment()[:12]}…")
        return address, commitment

    def _commit(self, version: str, key: KeyFile) -> dict[str, Any]:
        commitment: dict[str, Any] = self.client.post(
            f"{version}/commitments",
            digest=key.commitment(),
            scheme=key.scheme,
            parameters=dict(key.parameters),
        )
        return commitment

    def _lock(self, plain: str, commitment: dict[str, Any], key: KeyFile) -> dict[str, Any]:
        with self._bar("3  A worker locks it under the key") as show:
            protection: dict[str, Any] = self.client.post(
                "key-locks",
                commitment=commitment["id"],
                key_file=json.loads(key.dumps()),
                dataset=DATASET,
                epochs=self.sizes.lock_epochs,
                images=self.sizes.lock_images,
                wrong_keys=self.sizes.wrong_keys,
                seeds=self.sizes.lock_seeds,
            )
            protection = self.client.wait(f"protections/{protection['id']}", show)
        card = protection["report_card"]
        self.figures.unprotected_accuracy = card["unprotected"]
        self.figures.right_accuracy = card["right"]
        self.figures.plain_accuracy = card["plain"]
        self.figures.wrong_mean = card["wrong_mean"]
        self.figures.wrong_p95 = card["wrong_p95"]
        self.figures.wrong_max = card["wrong_max"]
        return protection

    def _suspects(self, protection: dict[str, Any]) -> tuple[Path, Path]:
        thief, innocent = self.folder / "thief.safetensors", self.folder / "innocent.safetensors"
        model, number = protection["result"].split("/")
        stolen = self.client.download(
            f"models/{model}/versions/{number}/files/model.safetensors",
            self.folder / "stolen.safetensors",
        )
        with self._bar("4  A thief fine-tunes the stolen weights") as show:
            self.figures.thief_accuracy = steal(stolen, self.data, self.sizes, thief, show)
        with self._bar("   An innocent trains their own") as show:
            self.figures.innocent_accuracy = train_innocent(self.data, self.sizes, innocent, show)
        return thief, innocent

    def _verify(
        self, name: str, weights: Path, protection: dict[str, Any], key: KeyFile, *, is_copy: bool
    ) -> dict[str, Any]:
        choices = {"alpha": self.sizes.alpha, "probes": self.sizes.probes}
        run = self._ask("5 ", name, weights, protection, key, is_copy=is_copy, **choices)
        setattr(self.figures, f"{name}_p", run["p_value"])
        setattr(self.figures, f"{name}_verdict", run["verdict"])
        return run

    def _ask(
        self,
        step: str,
        name: str,
        weights: Path,
        protection: dict[str, Any],
        key: KeyFile,
        *,
        is_copy: bool,
        **choices: Any,
    ) -> dict[str, Any]:
        with (
            self._bar(f"{step} The {name}'s server is asked") as show,
            served("demo.serve", str(weights), log=self.folder / f"{name}.log") as url,
        ):
            suspect = self.client.post(
                "suspects", name=f"{name}'s API", url=url, model="classifier", classes=10
            )
            run: dict[str, Any] = self.client.post(
                "runs",
                suspect=suspect["id"],
                protection=protection["id"],
                key_file=json.loads(key.dumps()),
                **choices,
            )
            run = self.client.wait(f"runs/{run['id']}", show)
        # An innocent may give one answer to all that it cannot make out: that is inconclusive.
        if (run["verdict"] == MATCH) != is_copy:
            raise StoryError(
                f"The verdict on the {name} is “{run['verdict']}” (p = {run['p_value']:.3g}), "
                f"but it is {'a copy' if is_copy else 'none'}.",
                hint="Look at the run in the dashboard; an innocent reaches p ≤ alpha in "
                f"{run['rule']['alpha']:g} of all runs by chance.",
            )
        return run

    def _check_certificate(self, name: str, run: dict[str, Any]) -> None:
        trust = self.client.download("ledger/trust", self.folder / "trust.json")
        bundle = self.folder / f"{name}-bundle.zip"
        with self._bar(f"6  The {name}'s certificate is checked") as show:
            until(lambda: self.client.download(f"runs/{run['id']}/bundle", bundle))
            accepted = _spellmark_verify(bundle, trust)
            if accepted.returncode != 0:
                raise StoryError(
                    f"The {name}'s bundle is refused: {accepted.stdout}", hint="This is a fault."
                )
            show(0.5, "accepted")
            data = bytearray(bundle.read_bytes())
            # Somewhere in the signed payload: a byte of its base64 becomes another letter.
            place = data.index(b'"payload":"') + 200
            data[place] = ord("B") if data[place] == ord("A") else ord("A")
            altered = self.folder / f"{name}-altered.zip"
            altered.write_bytes(data)
            refused = _spellmark_verify(altered, trust)
            if refused.returncode != 1 or "FAIL" not in refused.stdout:
                raise StoryError("An altered bundle was accepted.", hint="This is a fault.")
            show(1, "accepted; one byte altered: refused")
        self.figures.files[f"evidence bundle, {name}"] = str(bundle)
        self.figures.files["trust file"] = str(trust)

    def _report(self, runs: list[dict[str, Any]]) -> None:
        with self._bar("7  A report on the case is written") as show:
            case = self.client.post(
                "cases",
                title="A copy of our clothes classifier",
                description="Two services answer like our locked model might. One is a copy.",
                runs=[run["id"] for run in runs],
            )
            report = self.client.post(f"cases/{case['id']}/reports")
            report = self.client.wait(f"reports/{report['id']}", show)
            for part, name in (("pdf", "pdf"), ("html", "html"), ("evidence", "zip")):
                path = self.folder / f"report.{name}"
                self.client.download(f"reports/{report['id']}/{part}", path)
                self.figures.files[f"report, {part}"] = str(path)

    def _lock_with_a_spell(self, plain: str) -> None:
        path = self.folder / f"spell-{secrets.token_hex(3)}.spellkey"
        how = PromptLockParameters(editor=public_digest())
        key = KeyFile.generate(PROMPT_LOCK, how.as_dict(), SPELL)
        key.save(path)
        self.figures.files[f"key file of the spell “{SPELL}”"] = str(path)
        with self._bar("8  The same model is locked by a spell") as show:
            protection = self.client.post(
                "prompt-locks",
                commitment=self._commit(plain, key)["id"],
                key_file=json.loads(key.dumps()),
                dataset=DATASET,
                epochs=self.sizes.spell_epochs,
                images=self.sizes.spell_images,
                wrong_keys=self.sizes.wrong_spells,
                seeds=1,
            )
            card = self.client.wait(f"protections/{protection['id']}", show)["report_card"]
        self.figures.spell_right = card["right"]
        self.figures.spell_plain = card["plain"]
        self.figures.spell_wrong_mean = card["wrong_mean"]
        self.figures.spell_wrong_max = card["wrong_max"]
        self.figures.spell_near_mean = card["near_mean"]

    def _guard(self, plain: str) -> tuple[dict[str, Any], KeyFile]:
        key = KeyFile.generate(DYNAMIC, recommended(CARD.classes).as_dict())
        path = self.folder / f"guard-{secrets.token_hex(3)}.spellkey"
        key.save(path)
        self.figures.files["key file of the guard"] = str(path)
        with self._bar("9  A guard is set up for its API") as show:
            guard = self.client.post(
                "guards",
                commitment=self._commit(plain, key)["id"],
                key_file=json.loads(key.dumps()),
                dataset=DATASET,
                decimals=DECIMALS,
            )
            guard = self.client.wait(f"protections/{guard['id']}", show)
        self.figures.guard_labels_changed = guard["report_card"]["labels_changed"]
        self.figures.guard_l1 = guard["report_card"]["l1"]
        told = self.client.post(
            f"guards/{guard['id']}/configuration", key_file=json.loads(key.dumps())
        )
        file = self.folder / "guard.json"
        file.unlink(missing_ok=True)
        GuardFile.loads(json.dumps(told)).save(file)
        self.figures.files["guard file (the model server's)"] = str(file)
        return guard, key

    def _copy_and_compare(self, guard: dict[str, Any], key: KeyFile, innocent: Path) -> None:
        copy, owner = self.folder / "copy.safetensors", self.folder / "owner.safetensors"
        marked = {"SPELLMARK_GUARD": str(self.folder / "guard.json")}
        with (
            self._bar("   Somebody copies the guarded API") as show,
            served("demo.serve", str(owner), log=self.folder / "guarded.log", **marked) as url,
        ):
            self.figures.copy_accuracy = copy_api(url, self.data, self.sizes, copy, show)
        run = self._ask("10", "copyist", copy, guard, key, is_copy=True)
        self.figures.copy_p, self.figures.copy_verdict = run["p_value"], run["verdict"]
        self.figures.copy_questions = run["answered_probes"]
        self._check_certificate("copyist", run)
        run = self._ask("10", "innocent", innocent, guard, key, is_copy=False)
        self.figures.guard_innocent_p = run["p_value"]
        self.figures.guard_innocent_verdict = run["verdict"]

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False)

    @contextmanager
    def _bar(self, title: str) -> Iterator[Callable[[float, str], None]]:
        """A progress bar; yields the function that drives it."""
        columns = [
            TextColumn("{task.description:<40}"), BarColumn(20), TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[step]}"),
        ]  # fmt: skip
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(title, total=1.0, step="")

            def show(share: float, step: str) -> None:
                progress.update(task, completed=share, step=step)

            yield show
            progress.update(task, completed=1.0)


def table(figures: Figures) -> Table:
    """The story's figures, for people."""
    found = Table(title="What the story found", title_justify="left", show_header=False)
    for name, value in (
        ("unprotected model", f"{figures.unprotected_accuracy:.1%} right"),
        ("locked, with the key", f"{figures.right_accuracy:.1%} right"),
        ("locked, on plain images", f"{figures.plain_accuracy:.1%} right"),
        (
            "locked, wrong keys",
            f"{figures.wrong_mean:.1%} on average, {figures.wrong_p95:.1%} at the 95th percentile,"
            f" {figures.wrong_max:.1%} at most",
        ),
        ("the thief's copy", f"{figures.thief_accuracy:.1%} right after fine-tuning"),
        ("the innocent's model", f"{figures.innocent_accuracy:.1%} right"),
        ("verdict on the thief", f"{figures.thief_verdict} (p = {figures.thief_p:.3g})"),
        ("verdict on the innocent", f"{figures.innocent_verdict} (p = {figures.innocent_p:.3g})"),
        ("locked by a spell, with it", f"{figures.spell_right:.1%} right"),
        ("by a spell, on plain images", f"{figures.spell_plain:.1%} right"),
        (
            "by a spell, other spells",
            f"{figures.spell_wrong_mean:.1%} on average, {figures.spell_wrong_max:.1%} at most,"
            f" {figures.spell_near_mean:.1%} with a typing error",
        ),
        (
            "the guarded API",
            f"{figures.guard_labels_changed:.0%} of its labels changed, {figures.guard_l1 / 2:.1%} "
            "of an answer's mass moved",
        ),
        ("a copy of the guarded API", f"{figures.copy_accuracy:.1%} right"),
        (
            "verdict on the copy",
            f"{figures.copy_verdict} (p = {figures.copy_p:.3g}) after {figures.copy_questions} "
            "questions",
        ),
        (
            "verdict on the innocent",
            f"{figures.guard_innocent_verdict} (p = {figures.guard_innocent_p:.3g})",
        ),
    ):
        found.add_row(name, value)
    return found


def load_figures(folder: Path) -> Figures | None:
    """The figures of a story that was told to its end before."""
    try:
        return Figures(**json.loads((folder / "figures.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def check_again(folder: Path, figures: Figures) -> None:
    """Check the kept bundles once more. Raises StoryError."""
    for name in ("thief", "innocent", "copyist"):
        bundle = Path(figures.files[f"evidence bundle, {name}"])
        if _spellmark_verify(bundle, folder / "trust.json").returncode:
            raise StoryError(f"{bundle} is refused.", hint="It was altered since it was written.")


def _spellmark_verify(bundle: Path, trust: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spellmark.cli", "verify", str(bundle), "--trust", str(trust)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "workers")},
        capture_output=True,
        text=True,
    )
