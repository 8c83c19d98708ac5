import datetime
import hashlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from pathlib import Path

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

import spellmark
from spellmark.suspects.base import SuspectError
from spellmark.suspects.egress import EgressPolicy, check_url, client
from tests.spellmark.suspects.local_servers import Server, reply

PUBLIC = "93.184.216.34"
LOOPBACK = (ip_network("127.0.0.0/8"),)
LOCAL = EgressPolicy(allowed_networks=LOOPBACK, timeout_seconds=5)


def answers(*addresses: str) -> Callable[[str, int], Sequence[str]]:
    """A resolver that has these addresses for every name."""
    return lambda host, port: addresses


def rebinding(*addresses: str) -> Callable[[str, int], Sequence[str]]:
    """A hostile resolver: another address each time it is asked."""
    rest = iter(addresses)
    return lambda host, port: [next(rest)]


def refused(error: pytest.ExceptionInfo[SuspectError]) -> bool:
    return error.value.kind == "refused" and bool(error.value.hint)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://suspect.example/",
        "ftp://suspect.example/",
        "unix:///run/docker.sock",
        "suspect.example",
        "//suspect.example/",
        "http:///v2",
        "",
        "http://alice:secret@suspect.example/",
        "http://alice@suspect.example/",
        "http://suspect.example@127.0.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://suspect.example.1/",
        "http://127.0.0.1./",
        "http://suspect.example:0/",
        "http://suspect.example:99999/",
        "http://suspect%2eexample/",
        "http://suspect example/",
        "http://suspect.example\\@127.0.0.1/",
        "http://suspect.example\n/",
        "http://[fe80::1%25eth0]/",
    ],
)
def test_it_refuses_a_url_that_should_not_be_asked(url: str):
    # Everything is allowed and resolves: it is the URL itself that is refused.
    everywhere = EgressPolicy(allowed_networks=(ip_network("0.0.0.0/0"), ip_network("::/0")))
    with pytest.raises(SuspectError) as caught:
        check_url(url, everywhere, resolve=answers(PUBLIC))
    assert refused(caught)
    assert "secret" not in str(caught.value)
    with client(everywhere, resolve=answers(PUBLIC)) as http, pytest.raises(Exception) as sent:
        http.get(url)
    assert isinstance(sent.value, SuspectError | httpx.InvalidURL | httpx.UnsupportedProtocol)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::]",
        "0.0.0.0",  # noqa: S104
        "[::ffff:10.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[3fff::1]",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "168.63.129.16",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "127\u30020\u30020\u30021",
    ],
)
def test_it_refuses_addresses_that_are_not_on_the_public_internet(host: str):
    with pytest.raises(SuspectError) as caught:
        check_url(f"http://{host}/", EgressPolicy())
    assert refused(caught)
    with client(EgressPolicy()) as http, pytest.raises(SuspectError) as sent:
        http.get(f"http://{host}/")
    assert refused(sent)


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "2a00:1450::1"]
)
def test_it_allows_addresses_on_the_public_internet(address: str):
    check_url("https://suspect.example:8443/v2", EgressPolicy(), resolve=answers(address))


def test_it_allows_literal_addresses_without_asking_the_resolver():
    check_url("http://8.8.8.8/", EgressPolicy(), resolve=answers("10.0.0.1"))
    check_url("http://[2606:4700::1111]/", EgressPolicy(), resolve=answers("10.0.0.1"))


def test_it_refuses_a_name_when_any_of_its_addresses_is_private():
    with pytest.raises(SuspectError) as caught:
        check_url("http://suspect.example/", EgressPolicy(), resolve=answers(PUBLIC, "10.0.0.5"))
    assert refused(caught)
    # Whoever probes names of our own network must not learn their addresses.
    assert "10.0.0.5" not in str(caught.value)


def test_it_allows_what_the_operator_allows():
    policy = EgressPolicy(allowed_networks=(ip_network("10.1.0.0/16"), ip_network("fd00::/8")))
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        check_url("http://suspect.example/", policy, resolve=answers(address))
    with pytest.raises(SuspectError):
        check_url("http://suspect.example/", policy, resolve=answers("10.2.0.1"))


@given(st.ip_addresses())
def test_it_allows_no_address_that_python_calls_private(address):
    try:
        check_url("http://suspect.example/", EgressPolicy(), resolve=answers(str(address)))
    except SuspectError as error:
        assert error.kind == "refused"
    else:
        address = getattr(address, "ipv4_mapped", None) or address
        assert address.is_global
        assert not (address.is_multicast or address.is_reserved or address.is_loopback)


@pytest.mark.parametrize("found", [OSError("no such name"), UnicodeError("label too long"), []])
def test_it_says_when_a_name_has_no_address(found):
    def resolve(host: str, port: int) -> list[str]:
        if isinstance(found, Exception):
            raise found
        return found

    with pytest.raises(SuspectError, match=r"No address was found for “suspect.example”") as caught:
        check_url("http://suspect.example/", EgressPolicy(), resolve=resolve)
    assert caught.value.kind == "unreachable"


def test_it_connects_to_the_checked_address_and_never_resolves_again(monkeypatch):
    connected, resolved = [], []

    def create_connection(address, *args, **kwargs):
        connected.append(address)
        raise ConnectionRefusedError

    def getaddrinfo(host, *args, **kwargs):
        resolved.append(host)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", create_connection)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with client(EgressPolicy(), resolve=rebinding(PUBLIC, "127.0.0.1")) as http:
        with pytest.raises(SuspectError, match=r"Nothing answers at “suspect.example” port 80"):
            http.get("http://suspect.example/")
        with pytest.raises(SuspectError) as second:
            http.get("http://suspect.example/")

    assert connected == [(PUBLIC, 80)]
    assert resolved == []
    assert refused(second)


def test_a_rebinding_name_never_reaches_the_address_it_turns_to(serve):
    # 127.0.0.2 plays the public address, 127.0.0.1 on the same port the internal service.
    suspect = serve(reply(Connection="close"), host="127.0.0.2")
    internal = serve(reply(), port=suspect.port)
    policy = EgressPolicy(allowed_networks=(ip_network("127.0.0.2/32"),), timeout_seconds=5)
    asked = []
    hostile = rebinding("127.0.0.2", "127.0.0.1")

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return hostile(host, port)

    with client(policy, resolve=resolve) as http:
        url = f"http://suspect.example:{suspect.port}/"
        assert http.get(url).status_code == 200
        assert asked == ["suspect.example"]
        with pytest.raises(SuspectError) as caught:
            http.get(url)

    assert refused(caught)
    assert [r.headers["Host"] for r in suspect.received] == [f"suspect.example:{suspect.port}"]
    assert internal.received == []


def test_it_keeps_one_connection_for_many_requests(serve):
    suspect = serve(reply())
    with client(LOCAL) as http:
        for _ in range(3):
            http.post(suspect.url, content=b"x")
    assert len({received.peer for received in suspect.received}) == 1


def test_it_tries_the_next_address_when_one_is_dead(serve):
    suspect = serve(reply(), host="127.0.0.3")
    with client(LOCAL, resolve=answers("127.0.0.2", "127.0.0.3")) as http:
        assert http.get(f"http://suspect.example:{suspect.port}/").status_code == 200


def test_it_does_not_follow_a_redirect(serve):
    internal = serve(reply(body=b"internal"))
    suspect = serve(reply(302, Location=f"{internal.url}/latest/meta-data"))
    with client(LOCAL) as http:
        assert http.get(suspect.url).status_code == 302
    assert internal.received == []


def test_it_takes_nothing_from_the_environment(serve, monkeypatch, tmp_path: Path):
    proxy, suspect = serve(reply(body=b"proxied")), serve(reply(body=b"direct"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login alice password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with client(LOCAL) as http:
        assert http.get(suspect.url).content == b"direct"
    assert proxy.received == []
    assert "Authorization" not in suspect.received[0].headers


def test_it_does_not_tell_the_suspect_who_asks(serve):
    suspect = serve(reply(Set_Cookie="you=1"))
    with client(LOCAL) as http:
        http.get(suspect.url)
        http.get(suspect.url)
    assert "spellmark" not in str(suspect.received).lower()
    assert "Cookie" not in suspect.received[1].headers


def unreachable(server: Server, policy: EgressPolicy = LOCAL) -> str:
    with client(policy) as http, pytest.raises(SuspectError) as caught:
        http.post(server.url, content=b"question")
    assert caught.value.kind == "unreachable"
    assert caught.value.hint
    return caught.value.message


HASTY = EgressPolicy(allowed_networks=LOOPBACK, timeout_seconds=0.4)


def test_it_gives_up_on_a_server_that_hangs(serve, stopped: threading.Event):
    begin = time.monotonic()
    assert "within 0.4 seconds" in unreachable(serve(lambda _: stopped.wait() and None), HASTY)
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize(
    "beginning",
    [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b""],
)
def test_it_gives_up_on_a_server_that_drips(serve, stopped: threading.Event, beginning: bytes):
    # Each byte comes well within any timeout for a single read.
    def drip(handler):
        handler.wfile.write(beginning)
        while not stopped.wait(0.02):
            handler.wfile.write(b"1" if beginning else b"HTTP/1.1 100 Continue\r\n\r\n")

    begin = time.monotonic()
    assert "within 0.4 seconds" in unreachable(serve(drip), HASTY)
    assert time.monotonic() - begin < 2


def test_a_pause_after_dripping_counts_from_the_beginning(serve, stopped: threading.Event):
    def drip_and_pause(handler):
        for byte in b"HTTP/1.1 ":
            handler.wfile.write(bytes([byte]))
            time.sleep(0.1)
        stopped.wait()

    policy = EgressPolicy(LOOPBACK, timeout_seconds=1)
    begin = time.monotonic()
    unreachable(serve(drip_and_pause), policy)
    assert time.monotonic() - begin < 1.6


def test_it_gives_up_on_a_server_that_does_not_take_the_request():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        begin = time.monotonic()
        with client(HASTY) as http, pytest.raises(SuspectError, match=r"within 0.4 seconds"):
            http.post(url, content=bytes(50_000_000))
        assert time.monotonic() - begin < 2


def test_it_says_when_nothing_listens():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert f"Nothing answers at “127.0.0.1” port {port}" in unreachable(Server("127.0.0.1", port))


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nbroken off",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nbroken off",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        bytes(1000),
    ],
)
def test_it_says_when_an_answer_is_broken_off_or_not_http(serve, sent: bytes):
    def answer(handler):
        handler.wfile.write(sent)
        handler.close_connection = True

    assert "broke off its answer, or does not speak HTTP" in unreachable(serve(answer))


@pytest.mark.parametrize("length", [1000, None])
def test_it_reads_no_more_than_the_policy_allows(serve, length: int | None):
    sent = []

    def flood(handler):
        handler.send_response(200)
        if length:
            handler.send_header("Content-Length", str(length * 10**6))
        handler.end_headers()
        for _ in range(10_000):
            handler.wfile.write(bytes(2**16))
            sent.append(2**16)

    policy = EgressPolicy(LOOPBACK, max_response_bytes=100_000, timeout_seconds=20)
    with client(policy) as http, pytest.raises(SuspectError, match="longer than 100,000") as caught:
        http.get(serve(flood).url)
    assert caught.value.kind == "bad-answer"
    time.sleep(0.1)
    assert sum(sent) < 10_000 * 2**16


def test_it_takes_an_answer_of_just_the_allowed_length(serve):
    policy = EgressPolicy(LOOPBACK, max_response_bytes=1000)
    with client(policy) as http:
        assert len(http.get(serve(reply(body=bytes(1000))).url).content) == 1000


def test_it_refuses_compression_that_could_hide_a_bomb(serve):
    suspect = serve(reply(body=b"\x1f\x8b", Content_Encoding="gzip"))
    with client(LOCAL) as http, pytest.raises(SuspectError, match="compression") as caught:
        http.get(suspect.url)
    assert caught.value.kind == "bad-answer"
    assert suspect.received[0].headers["Accept-Encoding"] == "identity"


def test_a_failed_request_leaves_the_client_usable(serve):
    bodies = iter([bytes(200_000), b"{}", b"{}"])
    suspect = serve(lambda handler: reply(body=next(bodies))(handler))
    with client(EgressPolicy(LOOPBACK, max_response_bytes=1000)) as http:
        with pytest.raises(SuspectError):
            http.get(suspect.url)
        assert http.get(suspect.url).content == b"{}"
        assert http.get(suspect.url).content == b"{}"


def test_threads_have_their_own_deadlines(serve, stopped: threading.Event):
    def drip(handler):
        while not stopped.wait(0.02):
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    slow, quick = serve(drip), serve(reply())
    ended = []
    with client(EgressPolicy(LOOPBACK, timeout_seconds=1)) as http:

        def ask_slow() -> None:
            with pytest.raises(SuspectError):
                http.get(slow.url)
            ended.append(time.monotonic())

        begin = time.monotonic()
        thread = threading.Thread(target=ask_slow)
        thread.start()
        # Were the deadline shared, each of these would put off the slow request's end.
        for _ in range(9):
            time.sleep(0.1)
            http.get(quick.url)
        thread.join()
    assert ended[0] - begin < 1.6


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> tuple[Path, bytes]:
    """A self-signed certificate for suspect.example with its key: the PEM file and the DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "suspect.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("suspect.example")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path, certificate.public_bytes(serialization.Encoding.DER)


@pytest.fixture
def secure(serve, authority) -> tuple[Server, list[str | None]]:
    """A TLS server, and the names that clients asked it for (SNI)."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority[0])
    context.sni_callback = lambda connection, name, _: names.append(name)
    return serve(reply(), tls=context), names


def test_it_keeps_the_name_for_tls_and_tells_the_certificate(secure, authority):
    server, names = secure
    trusting = ssl.create_default_context(cafile=authority[0])
    with client(LOCAL, resolve=answers("127.0.0.1"), ssl_context=trusting) as http:
        response = http.get(f"https://suspect.example:{server.port}/")
        again = http.get(f"https://suspect.example:{server.port}/")
    digest = hashlib.sha256(authority[1]).hexdigest()
    assert response.extensions["tls_certificate_sha256"] == digest
    assert again.extensions["tls_certificate_sha256"] == digest
    assert names == ["suspect.example"]


def test_it_refuses_a_certificate_for_another_name(secure, authority):
    server, _ = secure
    trusting = ssl.create_default_context(cafile=authority[0])
    with (
        client(LOCAL, resolve=answers("127.0.0.1"), ssl_context=trusting) as http,
        pytest.raises(SuspectError, match=r"No trusted TLS connection.*mismatch") as caught,
    ):
        http.get(f"https://other.example:{server.port}/")
    assert caught.value.kind == "unreachable"
    assert server.received == []


def test_it_refuses_a_certificate_of_an_unknown_authority(secure):
    server, _ = secure
    with (
        client(LOCAL, resolve=answers("127.0.0.1")) as http,
        pytest.raises(SuspectError, match=r"No trusted TLS connection.*self-signed"),
    ):
        http.get(f"https://suspect.example:{server.port}/")
    assert server.received == []


def test_it_says_when_the_server_speaks_no_tls(serve):
    server = serve(reply())
    with client(LOCAL) as http, pytest.raises(SuspectError, match="No trusted TLS connection"):
        http.get(f"https://127.0.0.1:{server.port}/")


def test_it_opens_no_unix_sockets():
    with client(LOCAL) as http:
        backend = http._transport._pool._network_backend
        with pytest.raises(NotImplementedError):
            backend.connect_unix_socket("/run/docker.sock")
        assert isinstance(backend, httpcore.NetworkBackend)


def test_it_loads_no_torch():
    code = (
        "import sys, spellmark.suspects.egress, spellmark.suspects.open_inference,"
        "spellmark.suspects.model_file; print('torch' in sys.modules)"
    )
    environment = {"PYTHONPATH": str(Path(spellmark.__file__).parents[1])}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "False"
