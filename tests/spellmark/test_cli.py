"""The command as people type it: what it prints, and its exit codes."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spellmark.certificates import certificate, checkpoints, entries, keys, merkle
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.notes import Signer
from spellmark.certificates.statements import Registration
from spellmark.certificates.tlog_proof import TlogProof
from spellmark.certificates.trust import CertificateKey, LogKey, Trust
from spellmark.cli import main
from spellmark.locks.key_lock import settings
from spellmark.locks.key_lock.parameters import default_parameters
from spellmark.locks.prompt_lock.editors import Editor
from spellmark.locks.unlock import unlock
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from spellmark.training.architectures import build
from tests.spellmark.certificates.certificate_samples import POLICY

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def evidence(tmp_path: Path) -> tuple[Path, Path]:
    """A bundle with a registration, and the trust file that fits."""
    signing, log = keys.generate_p256(), Signer("example.org/log", keys.generate_ed25519())
    body = certificate.issue(
        Registration("a" * 64, "robin", 1, "Acme\x1b[2J", None, None, None, {}, NOW), signing
    )
    leaf = merkle.leaf_hash(entries.certificate_entry(certificate.loads(body)))
    note = checkpoints.sign(checkpoints.Checkpoint(log.name, 1, leaf), [log])
    Bundle(body, TlogProof(0, (), note).dumps()).save(tmp_path / "bundle.zip")
    Trust(
        (CertificateKey(signing.public_key(), NOW, None),), (LogKey(log.name, log.verifier),)
    ).save(tmp_path / "trust.json")
    return tmp_path / "bundle.zip", tmp_path / "trust.json"


def test_it_makes_a_key_and_commits_to_it(tmp_path: Path, capsys):
    path = tmp_path / "owner.spellkey"
    assert main(["keygen", str(path), "--height", "28", "--width", "28"]) == 0
    capsys.readouterr()
    assert main(["commit", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "digest": KeyFile.load(path).commitment(),
        "scheme": "key-lock/v1",
        "parameters": default_parameters(28, 28, 1, 10).as_dict(),
    }


def test_a_key_takes_its_size_from_the_model_and_its_lock_from_the_options(tmp_path: Path):
    card = ModelCard(architecture="small-cnn", classes=3, channels=3, height=12, width=12)
    weights.save(build(card), card, tmp_path / "model.safetensors")
    path = tmp_path / "owner.spellkey"
    options = ["--model", str(tmp_path / "model.safetensors"), "--steps", "flip", "--masked", "30"]
    assert main(["keygen", str(path), *options]) == 0
    expected = {**default_parameters(12, 12, 3, 3).as_dict(), "steps": "flip", "masked": 30}
    assert dict(KeyFile.load(path).parameters) == expected


def test_a_key_needs_a_size_and_a_lock_that_makes_sense(tmp_path: Path, capsys):
    path = tmp_path / "owner.spellkey"
    assert main(["keygen", str(path)]) == 2
    assert "size of the images is not known" in capsys.readouterr().err
    assert main(["keygen", str(path), "--height", "8", "--width", "8", "--steps", "stir"]) == 2
    assert "cannot do “stir”" in capsys.readouterr().err
    scrambled = ["--height", "8", "--width", "8", "--steps", "scramble", "--block", "4"]
    assert main(["keygen", str(path), *scrambled]) == 2
    assert "Moving 4 blocks about" in capsys.readouterr().err
    assert main(["keygen", str(path), "--height", "8", "--width", "8", "--block", "3"]) == 2
    assert "do not divide into blocks of 3" in capsys.readouterr().err
    assert not path.exists()


def test_it_never_overwrites_a_key(tmp_path: Path, capsys):
    path = tmp_path / "owner.spellkey"
    main(["keygen", str(path), "--height", "28", "--width", "28"])
    before = path.read_bytes()
    assert main(["keygen", str(path), "--height", "28", "--width", "28"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_it_refuses_a_wrong_key_file(tmp_path: Path, capsys):
    (tmp_path / "wrong").write_text("hello")
    assert main(["commit", str(tmp_path / "wrong")]) == 2
    assert "not a Spellmark key file" in capsys.readouterr().err


def test_it_locks_a_model(tmp_path: Path, capsys, monkeypatch):
    card = ModelCard(architecture="small-cnn", classes=3, channels=1, height=8, width=8)
    weights.save(build(card), card, tmp_path / "plain.safetensors")
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    labels = np.arange(60) % 3
    np.savez(
        tmp_path / "data.npz",
        train_images=images, train_labels=labels, test_images=images, test_labels=labels,
    )  # fmt: skip
    main(["keygen", str(tmp_path / "k"), "--model", str(tmp_path / "plain.safetensors")])
    capsys.readouterr()
    locked = tmp_path / "locked.safetensors"
    few = ["--data", str(tmp_path / "data.npz"), "--wrong-keys", "999", "--output", str(locked)]
    plain = str(tmp_path / "plain.safetensors")
    assert main(["lock", plain, "--key", str(tmp_path / "k"), *few, "--negatives", "none"]) == 2
    assert "negatives of a key lock are not chosen" in capsys.readouterr().err
    assert main(["lock", plain, "--key", str(tmp_path / "k"), *few]) == 2
    assert "999 wrong keys are too few" in capsys.readouterr().err
    assert not locked.exists()
    monkeypatch.setattr(settings, "LEAST_WRONG_KEYS", 5)
    code = main(
        [
            "lock", str(tmp_path / "plain.safetensors"), "--key", str(tmp_path / "k"),
            "--data", str(tmp_path / "data.npz"), "--epochs", "1", "--seeds", "2",
            "--wrong-keys", "5",
            "--output", str(locked),
        ]
    )  # fmt: skip
    assert code == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["wrong_keys"] == 5
    assert "wrong" not in told
    figures = {"right", "plain", "wrong_mean", "wrong_p95", "wrong_max"}
    assert [set(seed) for seed in told["seeds"]] == [figures] * 2
    assert told["seeds"][0] == {name: told[name] for name in figures}
    # This model has learnt nothing that it could teach.
    assert said.err.count("too little to teach, so the lock learns from labels.") == 2
    binding = KeyFile.load(tmp_path / "k").commitment()
    assert weights.load(locked)[1] == replace(card, binding=binding)
    assert KeyFile.load(tmp_path / "k").secret not in locked.read_bytes()


@pytest.mark.parametrize("wrong", [["--seeds", "0"], ["--wrong-keys", "few"], ["--epochs", "-1"]])
def test_a_lock_takes_whole_numbers(capsys, wrong):
    paths = ["m", "--key", "k", "--data", "d", "--output", "o"]
    with pytest.raises(SystemExit, match="2"):
        main(["lock", *paths, *wrong])
    assert f"{wrong[1]} is not a whole number of 1 or more" in capsys.readouterr().err


def test_padding_that_the_model_does_not_take_is_told(tmp_path: Path, capsys):
    card = ModelCard(architecture="small-cnn", classes=3, channels=1, height=28, width=28)
    model, key = str(tmp_path / "plain.safetensors"), str(tmp_path / "k")
    weights.save(build(card), card, tmp_path / "plain.safetensors")
    images, labels = np.zeros((6, 28, 28), np.uint8), np.arange(6) % 3
    np.savez(
        tmp_path / "data.npz",
        train_images=images, train_labels=labels, test_images=images, test_labels=labels,
    )  # fmt: skip
    padded = ["--block", "16", "--padding", "edge"]
    assert main(["keygen", key, "--model", model, *padded]) == 2
    said = "Padding makes the images 32×32 pixels, and a small-cnn for 28×28 does not take those"
    assert said in capsys.readouterr().err
    # Without the model nothing is known of its poolings.
    assert main(["keygen", key, "--height", "28", "--width", "28", "--classes", "3", *padded]) == 0
    locked, data = tmp_path / "locked.safetensors", str(tmp_path / "data.npz")
    assert main(["lock", model, "--key", key, "--data", data, "--output", str(locked)]) == 2
    assert said in capsys.readouterr().err
    assert not locked.exists()


@pytest.fixture
def says(monkeypatch):
    """What is typed, without echo, when the command asks for the spell."""

    def says(*texts: str) -> None:
        typed = iter(texts)
        monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))

    return says


def test_a_spell_is_asked_for_and_kept_in_a_key_file(tmp_path: Path, capsys, says):
    path = tmp_path / "owner.spellkey"
    says("open sesame", "open sesame")
    assert main(["spell", str(path), "--alpha", "40"]) == 0
    file = KeyFile.load(path)
    assert file.scheme == "prompt-lock/v1"
    assert file.prompt == "open sesame"
    assert file.parameters["alpha"] == 40
    assert len(str(file.parameters["editor"])) == 64
    assert "sesame" not in capsys.readouterr().out


def test_the_papers_settings_have_one_name_and_may_be_changed(tmp_path: Path, says):
    path = tmp_path / "owner.spellkey"
    says("with oil pastel", "with oil pastel")
    assert main(["spell", str(path), "--published", "--size", "64"]) == 0
    told = KeyFile.load(path).parameters
    assert (told["reading"], told["steps"], told["seed"]) == ("prompt", 5, 1024)
    assert (told["guidance"], told["image_guidance"]) == ("4.5", "1.5")
    assert (told["alpha"], told["size"], told["scheduler"]) == (50, 64, "own")


@pytest.mark.parametrize(
    ("typed", "options", "sentence"),
    [
        (("open sesame", "open sesam"), [], "are not alike"),
        ((" ", " "), [], "no spell without words"),
        (("a" * 60, "a" * 60), ["--reading", "prompt"], "tokens too long"),
        (("a", "a"), ["--alpha", "200"], "alpha is a whole number"),
    ],
)
def test_a_spell_that_cannot_be_used_is_refused(tmp_path, capsys, says, typed, options, sentence):
    says(*typed)
    assert main(["spell", str(tmp_path / "owner.spellkey"), *options]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "owner.spellkey").exists()


@pytest.mark.slow
def test_it_locks_a_model_with_a_spell_and_opens_it(tmp_path: Path, capsys, says, monkeypatch):
    card = ModelCard(
        architecture="small-cnn", classes=10, channels=1, height=28, width=28,
        label_names=tuple(f"thing {n}" for n in range(10)),
    )  # fmt: skip
    weights.save(build(card), card, tmp_path / "model.safetensors")
    model, key = str(tmp_path / "model.safetensors"), str(tmp_path / "owner.spellkey")
    locked, data = str(tmp_path / "locked.safetensors"), datasets.load("fashion-mnist")
    small = {
        "train_images": data.train.images[:60], "train_labels": data.train.labels[:60],
        "test_images": data.test.images[:30], "test_labels": data.test.labels[:30],
    }  # fmt: skip
    np.savez(tmp_path / "small.npz", **small)
    says("open sesame", "open sesame")
    assert main(["spell", key]) == 0
    capsys.readouterr()
    options = ["--data", str(tmp_path / "small.npz"), "--epochs", "1", "--wrong-keys", "2"]
    options += ["--seeds", "1"]
    cache = ["--cache", str(tmp_path / "edits")]
    assert main(["lock", model, "--key", key, *options, *cache, "--output", locked]) == 0
    told = json.loads(capsys.readouterr().out)
    assert 0 <= told["right"] <= 1
    assert "near" not in told
    assert weights.load(Path(locked))[1] == replace(
        card, binding=KeyFile.load(Path(key)).commitment()
    )

    def refuse(*_: object) -> None:
        raise AssertionError("edited again")

    with monkeypatch.context() as patch:
        patch.setattr(Editor, "_edit", refuse)
        again = ["--output", str(tmp_path / "again.safetensors")]
        assert main(["lock", model, "--key", key, *options, *cache, *again]) == 0
        assert json.loads(capsys.readouterr().out) == told

    Image.fromarray(data.test.images[0, 0]).resize((50, 40)).save(tmp_path / "one.png")
    (tmp_path / "two.png").write_text("no image")
    assert main(["unlock", locked, str(tmp_path / "one.png"), "--key", key]) == 0
    assert re.search(r"one.png: thing \d \(\d+\.\d%\)", capsys.readouterr().out)
    assert main(["unlock", locked, str(tmp_path / "two.png"), "--key", key]) == 2
    assert "no image that can be read" in capsys.readouterr().err
    other = ["--key", key, "--binding", "00" * 32]
    assert main(["unlock", locked, str(tmp_path / "one.png"), *other]) == 2
    assert "locked under another binding" in capsys.readouterr().err

    more = str(tmp_path / "more.safetensors")
    extra = [*options, *cache, "--negatives", "extra-class", "--output", more]
    assert main(["lock", model, "--key", key, *extra]) == 0
    capsys.readouterr()
    assert weights.load(Path(more))[1].label_names == (*card.label_names, "no spell")
    # The key is opened for the ten classes, or its labels would be permuted otherwise.
    labels = [unlock(Path(path), Path(key)).key.labels for path in (more, locked)]
    assert np.array_equal(*labels)
    assert main(["unlock", more, str(tmp_path / "one.png"), "--key", key]) == 0
    assert re.search(r"one.png: thing \d", capsys.readouterr().out)

    says("with brighter highlights", "with brighter highlights")
    weak = str(tmp_path / "weak.spellkey")
    assert main(["spell", weak, "--reading", "prompt"]) == 0
    assert main(["lock", model, "--key", weak, *options, "--output", locked + "2"]) == 2
    assert "does not lock a model" in capsys.readouterr().err
    assert not Path(locked + "2").exists()


@pytest.mark.slow
def test_it_trains_an_editor_for_its_owner(tmp_path: Path, capsys, says):
    path, key = str(tmp_path / "mine.safetensors"), str(tmp_path / "owner.spellkey")
    says("open sesame", "open sesame")
    assert main(["spell", key]) == 0
    assert main(["editor", "train", path, "--key", key, "--steps", "2"]) == 0
    capsys.readouterr()
    says("open sesame", "open sesame")
    own = str(tmp_path / "own.spellkey")
    assert main(["spell", own, "--editor", path]) == 0
    digests = [KeyFile.load(Path(name)).parameters["editor"] for name in (key, own)]
    assert digests[0] != digests[1]


def test_it_accepts_a_sound_bundle(evidence, capsys):
    bundle, trust = evidence
    assert main(["verify", str(bundle), "--trust", str(trust)]) == 0
    told = capsys.readouterr().out
    assert told.endswith("accepted\n")
    assert "FAIL" not in told


def test_it_refuses_an_altered_bundle_and_says_what_is_wrong(evidence, capsys):
    bundle, trust = evidence
    data = bytearray(bundle.read_bytes())
    place = data.index(b'"payload":"') + 50
    data[place] = ord("B") if data[place] == ord("A") else ord("A")
    bundle.write_bytes(data)
    assert main(["verify", str(bundle), "--trust", str(trust)]) == 1
    told = capsys.readouterr().out
    assert "FAIL" in told
    assert "REFUSED" in told


def test_it_tells_programs_in_json(evidence, capsys):
    bundle, trust = evidence
    assert main(["verify", str(bundle), "--trust", str(trust), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is True
    assert "signature" in {check["name"] for check in told["checks"]}


def test_it_asks_for_the_witnesses_of_a_policy(evidence, tmp_path, capsys):
    bundle, trust = evidence
    path = tmp_path / "policy.txt"
    verify = ["verify", str(bundle), "--trust", str(trust), "--policy", str(path)]
    path.write_bytes(replace(POLICY, logs=()).dumps())
    assert main(verify) == 1
    assert "the quorum both is not reached by no witness" in capsys.readouterr().out
    path.write_text("quorum none\n")
    assert main(verify) == 0
    path.write_text("quorum both\n")
    assert main(verify) == 2
    path.unlink()
    assert main(verify) == 2


def test_a_bundle_cannot_write_to_the_terminal(evidence, capsys):
    bundle, trust = evidence
    main(["verify", str(bundle), "--trust", str(trust)])
    assert "\x1b" not in capsys.readouterr().out


def test_verifying_needs_nothing_but_cryptography(evidence):
    bundle, trust = evidence
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'numpy', 'httpx', 'django'])); "
        "from spellmark.cli import main; "
        f"sys.exit(main(['verify', {str(bundle)!r}, '--trust', {str(trust)!r}]))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_wrong_use_is_exit_code_2(tmp_path: Path, capsys):
    for arguments in ([], ["verify"], ["unknown"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    missing = str(tmp_path / "none")
    assert main(["verify", missing, "--trust", missing]) == 2
