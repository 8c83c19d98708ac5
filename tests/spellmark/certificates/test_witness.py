"""The witness's answers by the letter of c2sp.org/tlog-witness."""

import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from http.client import HTTPConnection

import pytest

from spellmark.certificates import checkpoints, keys, merkle, notes
from spellmark.certificates.notes import COSIGNATURE, ML_DSA_44, Signer
from spellmark.certificates.witness import Request, Witness
from spellmark.certificates.witness_server import serve

ORIGIN = "log.example/1"
LOG = Signer(ORIGIN, keys.generate_ed25519())
OTHER_LOG = Signer("log.example/2", LOG.private_key)
SIGNERS = [
    Signer("witness.example/w1", keys.generate_ed25519(), COSIGNATURE),
    Signer("witness.example/w1", keys.generate_ml_dsa_44(), ML_DSA_44),
]


def _tree(entries):
    added = merkle.extend(0, [merkle.leaf_hash(entry) for entry in entries], merkle.reader({}))
    return merkle.reader({(level, index): value for level, index, value in added})


GET = _tree([b"%d" % number for number in range(40)])
FORK = _tree([b"x%d" % number for number in range(40)])


def _request(old, size, *, get=GET, signer=LOG, origin=ORIGIN, proof=None):
    root = merkle.root(size, get)
    note = checkpoints.sign(checkpoints.Checkpoint(origin, size, root), [signer])
    if proof is None:
        proof = merkle.consistency_proof(old, size, get) if old <= size else []
    return Request(old, proof, note).dumps()


@pytest.fixture
def witness(tmp_path):
    return Witness(tmp_path / "store.sqlite", {ORIGIN: [LOG.verifier]}, SIGNERS)


def test_it_cosigns_what_continues_what_it_cosigned(witness):
    for old, size in ((0, 3), (3, 3), (3, 17), (17, 40)):
        answer = witness.add_checkpoint(_request(old, size))
        assert answer.status == 200, answer.body
        note = checkpoints.sign(checkpoints.Checkpoint(ORIGIN, size, merkle.root(size, GET)), [LOG])
        found = notes.verify(notes.parse(note + answer.body), [s.verifier for s in SIGNERS])
        assert len(found) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (
            _request(0, 3, signer=Signer("log.example/2", LOG.private_key), origin="log.example/2"),
            404,
        ),
        (_request(0, 3, signer=Signer(ORIGIN, keys.generate_ed25519())), 403),
        (_request(5, 3), 400),
        (_request(3, 5), 409),
        (_request(9, 12, get=FORK), 422),
        (_request(9, 9, get=FORK), 422),
        (_request(9, 12, proof=[]), 422),
        (_request(9, 12, proof=[bytes(32)] * 63), 422),
        (_request(9, 12, proof=[bytes(32)] * 64), 400),
        (_request(9, 12, proof=[bytes(31)]), 400),
        (b"", 400),
        (b"old 9\n\nnothing", 400),
        (b"old 09\n\n", 400),
    ],
)
def test_it_refuses_by_the_specifications_numbers_and_remembers_nothing(witness, body, status):
    assert witness.add_checkpoint(_request(0, 9)).status == 200
    before = witness.latest(sha256(ORIGIN.encode()).hexdigest()).body
    assert witness.add_checkpoint(body).status == status
    assert witness.latest(sha256(ORIGIN.encode()).hexdigest()).body == before


def test_an_altered_signature_of_a_known_key_is_403(witness):
    body = _request(0, 3)
    assert witness.add_checkpoint(body.replace(b"\n3\n", b"\n4\n", 1)).status == 403


def test_a_conflict_names_the_size(witness):
    witness.add_checkpoint(_request(0, 9))
    answer = witness.add_checkpoint(_request(0, 12))
    assert (answer.status, answer.body, answer.content_type) == (409, b"9\n", "text/x.tlog.size")


def test_a_proof_from_nothing_must_be_empty(witness):
    assert witness.add_checkpoint(_request(0, 3, proof=[bytes(32)])).status == 422


def test_it_remembers_after_a_restart(witness, tmp_path):
    witness.add_checkpoint(_request(0, 9))
    again = Witness(tmp_path / "store.sqlite", {ORIGIN: [LOG.verifier]}, SIGNERS)
    assert again.add_checkpoint(_request(0, 9, get=FORK)).status == 409
    assert again.add_checkpoint(_request(9, 9, get=FORK)).status == 422


def test_of_two_at_once_only_one_is_cosigned(tmp_path):
    """Each begins where the witness stands; whichever comes second must be told so."""
    store = tmp_path / "store.sqlite"
    witnesses = [Witness(store, {ORIGIN: [LOG.verifier]}, SIGNERS[:1]) for _ in range(2)]
    assert witnesses[0].add_checkpoint(_request(0, 4)).status == 200
    size = 4
    for _ in range(10):
        gate = threading.Barrier(2)
        bodies = [_request(size, size + 1), _request(size, size + 2)]

        def ask(pair, gate=gate):
            gate.wait()
            return pair[0].add_checkpoint(pair[1]).status

        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(ask, zip(witnesses, bodies, strict=True)))
        assert sorted(found) == [200, 409]
        size += 1 + found.index(200)


def test_it_answers_over_http(witness):
    server = serve(witness, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    connection = HTTPConnection(*server.server_address, timeout=20)
    name = sha256(ORIGIN.encode()).hexdigest()
    try:
        found = []
        for method, path, body in (
            ("GET", f"/{name}/checkpoint", None),
            ("POST", "/add-checkpoint", _request(0, 9)),
            ("POST", "/add-checkpoint", _request(0, 9)),
            ("GET", f"/{name}/checkpoint", None),
            ("POST", "/other", b"x"),
            ("GET", "/", None),
            ("POST", "/add-checkpoint", bytes(200_000)),
        ):
            connection.request(method, path, body)
            answer = connection.getresponse()
            data = answer.read()
            found.append(answer.status)
            if method == "GET" and answer.status == 200:
                trusted = [LOG.verifier, *(signer.verifier for signer in SIGNERS)]
                assert len(notes.verify(notes.parse(data), trusted)) == 3
    finally:
        connection.close()
        server.shutdown()
        thread.join()
        server.server_close()
    assert found == [404, 200, 409, 200, 404, 404, 413]
