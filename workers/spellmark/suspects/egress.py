"""The one way out: HTTP to addresses of strangers, without a way into our own network.

A suspect's URL comes from a person, and its name from a name server that anyone may run. So a
name is resolved once for each connection, every address it has is checked, and the connection
goes to a checked address and not to the name. The name is kept for TLS and the Host header.
"""

import hashlib
import ipaddress
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, cast

import httpcore
import httpx

from spellmark.model_files.text import shown
from spellmark.suspects.base import SuspectError

Resolver = Callable[[str, int], Sequence[str]]

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_WRITE_BYTES = 64 * 1024

# IPv6 addresses outside this block are not handed out for the public internet (RFC 4291, 2.4);
# among them are those that embed IPv4 addresses for translators (RFC 6052, RFC 8215).
_PUBLIC_IPV6 = IPv6Network("2000::/3")
# What Python 3.11 takes for global but is not, or leads elsewhere.
_NOT_PUBLIC: tuple[IPv4Network | IPv6Network, ...] = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments (RFC 6890); a cloud's metadata service
    IPv4Network("192.88.99.0/24"),  # 6to4 relays (RFC 7526)
    IPv4Network("168.63.129.16/32"),  # a public address that one cloud answers from the inside
    IPv6Network("2002::/16"),  # 6to4, embeds IPv4 addresses (RFC 3056)
    IPv6Network("3fff::/20"),  # documentation (RFC 9637)
)


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Where requests may go and how much they may take.

    allowed_networks: allowed besides the public internet, such as 127.0.0.0/8 for a local demo.
    max_response_bytes: of a response's body. timeout_seconds: from connecting to the last byte.
    """

    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    max_response_bytes: int = 64 * 2**20
    timeout_seconds: float = 60.0


def resolve_host(host: str, port: int) -> list[str]:
    """Every address that this machine's resolver has for a host. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def client(
    policy: EgressPolicy,
    *,
    resolve: Resolver = resolve_host,
    ssl_context: ssl.SSLContext | None = None,
) -> httpx.Client:
    """An HTTP client that obeys the policy: no redirects, no proxies or netrc of the environment.

    Its requests raise SuspectError instead of httpx's own errors. A response has been read to its
    end; its extension `tls_certificate_sha256` is the server's certificate (hex digest, or None).

    ssl_context: to trust other authorities than certifi's.
    """
    # The User-Agent stays httpx's own: a suspect shall not know its auditor from a customer.
    # No compression: a response is capped and recorded as the bytes that came.
    return httpx.Client(
        transport=_EgressTransport(policy, resolve, ssl_context),
        timeout=policy.timeout_seconds,
        follow_redirects=False,
        trust_env=False,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
    )


def parse_url(url: str) -> httpx.URL:
    """The URL, if it is one that may be asked at all, wherever it leads. Raises SuspectError."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        # The text is not quoted: a password may stand in it.
        raise _refused("this is not a URL") from error
    _check_syntax(parsed)
    return parsed


def check_url(url: str, policy: EgressPolicy, *, resolve: Resolver = resolve_host) -> None:
    """Refuse a URL early, when a suspect is registered; each connection is checked again.

    Raises SuspectError: "refused" by the policy, "unreachable" if its name has no address.
    """
    parsed = parse_url(url)
    _checked_addresses(parsed.raw_host.decode("ascii"), _port(parsed), policy, resolve)


def _check_syntax(url: httpx.URL) -> None:
    host = url.raw_host.decode("ascii", errors="replace")
    if url.scheme not in ("http", "https"):
        raise _refused(f"URLs of the scheme “{shown(url.scheme)}” are not asked")
    if url.userinfo:
        raise _refused("a URL with a user name or password in it is not asked")
    if not 1 <= _port(url) <= 65535:
        raise _refused("the URL's port is not one from 1 to 65535")
    # Other programs take 2130706433, 0x7f.1 and 127.1 for 127.0.0.1: leave no such doubt.
    named = _HOST.fullmatch(host) and not _NUMBER.fullmatch(host.rstrip(".").split(".")[-1])
    if not named and _literal(host) is None:
        raise _refused(f"“{shown(host)}” is not a host name or address")


def _port(url: httpx.URL) -> int:
    return url.port if url.port is not None else {"http": 80, "https": 443}.get(url.scheme, 0)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _checked_addresses(
    host: str, port: int, policy: EgressPolicy, resolve: Resolver
) -> list[IPv4Address | IPv6Address]:
    """All addresses of the host, once each. Raises SuspectError if any of them is not allowed."""
    literal = _literal(host)
    if literal is not None:
        addresses = [literal]
    else:
        try:
            addresses = [ipaddress.ip_address(text) for text in dict.fromkeys(resolve(host, port))]
        except (OSError, ValueError) as error:
            raise _no_address(host) from error
    if not addresses:
        raise _no_address(host)
    # The address is not told: it may be a name of our own network that someone is probing.
    if not all(_is_allowed(address, policy) for address in addresses):
        raise _refused(f"“{shown(host)}” does not lead to the public internet only")
    return addresses


def _is_allowed(address: IPv4Address | IPv6Address, policy: EgressPolicy) -> bool:
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        address = address.ipv4_mapped or address
    if any(address in network for network in policy.allowed_networks):
        return True
    if address.version == 6 and address not in _PUBLIC_IPV6:
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in _NOT_PUBLIC)
    )


def _refused(reason: str) -> SuspectError:
    return SuspectError(
        f"The request is refused: {reason}.",
        kind="refused",
        hint="Give an http or https URL on the public internet, or ask the operator to allow "
        "the suspect's network.",
    )


def _no_address(host: str) -> SuspectError:
    return SuspectError(
        f"No address was found for “{shown(host)}”.",
        kind="unreachable",
        hint="Check the host name in the URL.",
    )


class _Deadline(threading.local):
    """When the request that this thread is making has to be over, on the monotonic clock."""

    at = math.inf

    def left(self, timeout: float | None) -> float:
        """Seconds that one step may take: `timeout`, but never beyond the deadline."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left if timeout is None else min(left, timeout)


class _Stream(httpcore.NetworkStream):
    """A connection whose every step ends by the deadline.

    A timeout for each read alone would let a suspect send a byte a minute for ever.
    """

    def __init__(self, inner: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for begin in range(0, len(buffer), _WRITE_BYTES):
            piece = buffer[begin : begin + _WRITE_BYTES]
            self._inner.write(piece, self._deadline.left(timeout))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _CheckedBackend(httpcore.NetworkBackend):
    """Connects to addresses that were checked, and to nothing else; no Unix sockets either."""

    def __init__(self, policy: EgressPolicy, resolve: Resolver, deadline: _Deadline) -> None:
        self._policy = policy
        self._resolve = resolve
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _checked_addresses(host, port, self._policy, self._resolve)

        def connect(address: IPv4Address | IPv6Address, seconds: float) -> httpcore.NetworkStream:
            stream = self._inner.connect_tcp(
                str(address), port, seconds, local_address, socket_options
            )
            return _Stream(stream, self._deadline)

        *others, last = addresses
        for tried, address in enumerate(others):
            # An equal share of the time, so that one dead address does not use up all of it.
            share = self._deadline.left(timeout) / (len(addresses) - tried)
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return connect(address, share)
        return connect(last, self._deadline.left(timeout))


class _EgressTransport(httpx.BaseTransport):
    def __init__(
        self, policy: EgressPolicy, resolve: Resolver, ssl_context: ssl.SSLContext | None
    ) -> None:
        self._policy = policy
        self._deadline = _Deadline()
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context or httpx.create_ssl_context(trust_env=False),
            network_backend=_CheckedBackend(policy, resolve, self._deadline),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask, and read the answer to its end, all within the policy. Raises SuspectError."""
        _check_syntax(request.url)
        self._deadline.at = time.monotonic() + self._policy.timeout_seconds
        try:
            with closing(self._pool.handle_request(_for_httpcore(request))) as response:
                certificate = _certificate_sha256(response)
                body = self._body(response)
        except httpcore.TimeoutException as error:
            raise SuspectError(
                f"The suspect did not answer within {self._policy.timeout_seconds:g} seconds.",
                kind="unreachable",
                hint="Ask for less at once, or ask the operator for a longer limit.",
            ) from error
        except httpcore.ConnectError as error:
            raise _not_connected(request.url, error) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise SuspectError(
                "The suspect broke off its answer, or does not speak HTTP.",
                kind="unreachable",
                hint="Try again, and check the URL's scheme and port.",
            ) from error
        # Set-Cookie is dropped: each question stands for itself.
        headers = [(k, v) for k, v in response.headers if k.lower() != b"set-cookie"]
        return httpx.Response(
            response.status,
            headers=headers,
            content=body,
            extensions={"tls_certificate_sha256": certificate},
        )

    def close(self) -> None:
        self._pool.close()

    def _body(self, response: httpcore.Response) -> bytes:
        encodings = [v for k, v in response.headers if k.lower() == b"content-encoding"]
        if any(encoding.lower() != b"identity" for encoding in encodings):
            raise SuspectError(
                "The suspect answered in a compression that was not asked for.",
                kind="bad-answer",
                hint="Switch compression off at the server or its proxy.",
            )
        most = self._policy.max_response_bytes
        body = bytearray()
        for part in cast(Iterable[bytes], response.stream):
            body += part
            if len(body) > most:
                raise SuspectError(
                    f"The suspect's answer is longer than {most:,} bytes.",
                    kind="bad-answer",
                    hint="Check the URL, or ask for less at once.",
                )
        return bytes(body)


def _for_httpcore(request: httpx.Request) -> httpcore.Request:
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        ),
        headers=request.headers.raw,
        content=cast(Iterable[bytes], request.stream),
        extensions={"timeout": request.extensions["timeout"]},
    )


def _certificate_sha256(response: httpcore.Response) -> str | None:
    tls = response.extensions["network_stream"].get_extra_info("ssl_object")
    certificate = tls and tls.getpeercert(True)
    return hashlib.sha256(certificate).hexdigest() if certificate else None


def _not_connected(url: httpx.URL, error: Exception) -> SuspectError:
    where = f"“{shown(url.host)}” port {_port(url)}"
    # httpcore passes on the system's error as the argument of its own.
    source = error.args[0] if error.args else None
    if isinstance(source, ssl.SSLError):
        reason = getattr(source, "verify_message", "") or source.reason
        return SuspectError(
            f"No trusted TLS connection to {where}: {shown(str(reason))}.",
            kind="unreachable",
            hint="Check the scheme and port, and the server's certificate.",
        )
    return SuspectError(
        f"Nothing answers at {where}.",
        kind="unreachable",
        hint="Check the URL, and whether the suspect is running.",
    )
