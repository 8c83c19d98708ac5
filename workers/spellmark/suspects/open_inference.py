"""Suspects that speak the Open Inference Protocol V2 over JSON: KServe, Triton, MLServer.

Protocol: https://github.com/kserve/open-inference-protocol, “Inference Protocol – Version 2
API”, HTTP/REST, Inference. `POST {url}/v2/models/{model}/infer`.
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from spellmark.model_files.strict_json import parse_object
from spellmark.model_files.text import shown
from spellmark.suspects import egress
from spellmark.suspects.base import (
    Answer,
    Request,
    Response,
    SuspectConfigError,
    SuspectError,
    check_images,
    check_status,
    hide,
)

PROBABILITY_TOLERANCE = 1e-3
# Room for outputs that were not asked for: some servers send all they have.
_SPARE_PARTS = 5_000_000
_PIXELS_AT_ONCE = 2**20

_FLOATS = ("FP16", "FP32", "FP64", "BF16")
_INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
# These are the connection's: changing them could make it lead elsewhere or mean something else.
_OUR_HEADERS = {
    "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "host",
    "te", "trailer", "transfer-encoding", "upgrade",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInferenceConfig:
    """Where the model is and what it takes.

    url: the server's, without `/v2/…`. classes: 2 or more. batch_size: images in one request.
    datatype, value_range: whether pixels go as 0…255 or 0…1, and as which type.
    output_name: which output to read, where there are several.
    headers: sent along, secret: never described, never in a message.

    Raises SuspectConfigError; SuspectError (refused) for a URL that may not be asked.
    """

    url: str
    model: str
    classes: int
    input_name: str = "input"
    datatype: Literal["UINT8", "FP32"] = "UINT8"
    value_range: Literal["0-255", "0-1"] = "0-255"
    output_name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    batch_size: int = 1000

    def __post_init__(self) -> None:
        url = egress.parse_url(self.url)
        if url.query or url.fragment:
            raise _misdescribed("url", "without a query or fragment; secrets go into headers")
        if self.model in ("", ".", ".."):
            raise _misdescribed("model", "the name of a model")
        if type(self.classes) is not int or self.classes < 2:
            raise _misdescribed("classes", "a whole number from 2 up")
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise _misdescribed("batch_size", "a whole number from 1 up")
        if (self.datatype, self.value_range) not in _PIXELS:
            raise _misdescribed("datatype and value_range", "UINT8 with 0-255, or FP32")
        for name, value in self.headers.items():
            if name.lower() in _OUR_HEADERS or not _HEADER_NAME.fullmatch(name):
                raise _misdescribed("headers", f"free of “{shown(name)}”")
            if not _HEADER_VALUE.fullmatch(value):
                raise _misdescribed("headers", f"printable ASCII in “{name}”")


class OpenInference:
    """A suspect behind the Open Inference Protocol."""

    def __init__(
        self,
        config: OpenInferenceConfig,
        policy: egress.EgressPolicy,
        *,
        resolve: egress.Resolver = egress.resolve_host,
    ) -> None:
        self._config = config
        self._client = egress.client(policy, resolve=resolve)
        model = quote(config.model, safe="")
        self._url = f"{config.url.rstrip('/')}/v2/models/{model}/infer"

    def describe(self) -> dict[str, object]:
        """What a certificate says of the suspect."""
        config = self._config
        return {
            "kind": "endpoint",
            "protocol": "open-inference-v2",
            "url": config.url,
            "model": config.model,
            "input": config.input_name,
            "output": config.output_name,
            "datatype": config.datatype,
            "valueRange": config.value_range,
            "classes": config.classes,
        }

    def prepare(self, images: npt.NDArray[np.uint8]) -> Request:
        """The request about uint8 images (n, C, H, W), n of at most the batch size."""
        check_images(images)
        config = self._config
        if len(images) > config.batch_size:
            raise SuspectConfigError(
                f"{len(images):,} images are more than the batch size of {config.batch_size:,}.",
                hint="Ask in several requests.",
            )
        tensor = {
            "name": config.input_name,
            "shape": list(images.shape),
            "datatype": config.datatype,
            "data": [],
        }
        body: dict[str, object] = {"inputs": [tensor]}
        if config.output_name is not None:
            body["outputs"] = [{"name": config.output_name}]
        # Quotes inside a name are escaped, so the empty array is found where it was put.
        before, after = json.dumps(body, separators=(",", ":")).split('"data":[]')
        data = _numbers(images, _PIXELS[config.datatype, config.value_range])
        return Request.of(b'%s"data":[%s]%s' % (before.encode(), data, after.encode()))

    def send(self, request: Request) -> Response:
        """POST the request once."""
        headers = {**self._config.headers, "Content-Type": "application/json"}
        begin = time.perf_counter()
        response = self._client.post(self._url, content=request.body, headers=headers)
        return Response(
            status=response.status_code,
            body=response.content,
            seconds=time.perf_counter() - begin,
            tls_certificate_sha256=response.extensions["tls_certificate_sha256"],
        )

    def read(self, response: Response, count: int) -> Answer:
        """The answer about `count` images; the shape of the output says of which level it is."""
        check_status(response, self._config.headers.values())
        classes = self._config.classes
        try:
            told = parse_object(response.body, most_parts=2 * count * classes + _SPARE_PARTS)
        except ValueError as error:
            raise self._bad_answer(f"it cannot be read: {error}") from error
        shape, datatype, numbers = self._output(told)
        if shape == [count, classes]:
            return _from_table(_array(numbers, datatype, shape), datatype)
        if shape in ([count], [count, 1]) and datatype in _INTEGERS:
            labels = _array(numbers, datatype, [count])
            if labels.min() < 0 or labels.max() >= classes:
                raise self._bad_answer(f"it has labels outside 0 to {classes - 1}")
            return Answer(labels.astype(np.int64), None, "labels")
        raise self._bad_answer(
            f"its output is {datatype} of shape {shown(str(shape))}, not of shape "
            f"[{count}, {classes}] nor {count} whole numbers"
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _output(self, told: dict[str, Any]) -> tuple[list[int], str, list[Any]]:
        """The shape, datatype and flat data of the output to read."""
        if "error" in told:
            raise self._bad_answer(f"it says “{shown(str(told['error']), 200)}”")
        outputs = told.get("outputs")
        if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
            raise self._bad_answer("it has no list of outputs")
        wanted = self._config.output_name
        named = [one for one in outputs if wanted is None or one.get("name") == wanted]
        if len(named) != 1:
            names = ", ".join(str(one.get("name")) for one in outputs)
            raise self._bad_answer(
                f"it has {len(named)} outputs to choose from (“{shown(names)}”)",
                hint="Set the name of the output to read.",
            )
        shape, datatype, data = (named[0].get(key) for key in ("shape", "datatype", "data"))
        if not isinstance(shape, list) or not all(type(side) is int for side in shape):
            raise self._bad_answer("its output has no shape of whole numbers")
        if datatype not in (*_FLOATS, *_INTEGERS):
            raise self._bad_answer(
                f"its output is of the datatype “{shown(str(datatype))}”, not numbers"
            )
        if not isinstance(data, list):
            raise self._bad_answer("its output has no list of data")
        # The protocol allows both a flat list and one nested by the shape.
        if shape and all(isinstance(row, list) and len(row) == shape[-1] for row in data):
            data = list(chain.from_iterable(data))
        return shape, datatype, data

    def _bad_answer(self, reason: str, hint: str = "") -> SuspectError:
        return _bad_answer(hide(reason, self._config.headers.values()), hint)


def _from_table(table: npt.NDArray[np.float64], datatype: str) -> Answer:
    """The answer in one number for each image and class."""
    labels = table.argmax(axis=1).astype(np.int64)
    sums_to_one = np.abs(table.sum(axis=1) - 1) <= PROBABILITY_TOLERANCE
    if datatype in _FLOATS and table.min() >= 0 and sums_to_one.all():
        return Answer(labels, table, "probabilities")
    return Answer(labels, None, "scores", table)


def _array(numbers: list[Any], datatype: str, shape: list[int]) -> npt.NDArray[np.float64]:
    """The numbers as float64 of the given shape, if they are all finite numbers of the type."""
    allowed = {int} if datatype in _INTEGERS else {int, float}
    if len(numbers) != np.prod(shape):
        raise _bad_answer(f"it has {len(numbers):,} numbers for the shape {shape}")
    if not set(map(type, numbers)) <= allowed:
        raise _bad_answer(f"its data are not all numbers of the datatype {datatype}")
    try:
        array = np.array(numbers, dtype=np.float64).reshape(shape)
    except OverflowError as error:
        raise _bad_answer("it has numbers that are not finite") from error
    if not np.isfinite(array).all():
        raise _bad_answer("it has numbers that are not finite")
    return array


def _cells(texts: list[str]) -> npt.NDArray[np.uint8]:
    """Row v is the ASCII of “texts[v],”, filled up with zeros: uint8 (256, longest)."""
    longest = max(map(len, texts)) + 1
    padded = b"".join(f"{text},".encode().ljust(longest, b"\0") for text in texts)
    return np.frombuffer(padded, np.uint8).reshape(len(texts), longest)


# How a pixel of each value is written; floats are the shortest text that float32 reads back.
_PIXELS = {
    ("UINT8", "0-255"): _cells([str(value) for value in range(256)]),
    ("FP32", "0-255"): _cells([f"{value}.0" for value in range(256)]),
    ("FP32", "0-1"): _cells([str(np.float32(value) / np.float32(255)) for value in range(256)]),
}


def _numbers(images: npt.NDArray[np.uint8], cells: npt.NDArray[np.uint8]) -> bytes:
    """The pixels in row-major order as JSON numbers with commas between.

    Looking up rows of bytes and dropping the filling is several times faster than formatting
    numbers one by one; in pieces, for the rows take many times the memory of the pixels.
    """
    pixels = images.reshape(-1)
    pieces = []
    for begin in range(0, len(pixels), _PIXELS_AT_ONCE):
        written = cells.take(pixels[begin : begin + _PIXELS_AT_ONCE], axis=0)
        pieces.append(written[written != 0].tobytes())
    return b"".join(pieces)[:-1]


def _misdescribed(name: str, wanted: str) -> SuspectConfigError:
    return SuspectConfigError(
        f"The suspect's {name} must be {wanted}.", hint="Correct the suspect's settings."
    )


def _bad_answer(reason: str, hint: str = "") -> SuspectError:
    return SuspectError(
        f"The suspect's answer cannot be used: {reason}.",
        kind="bad-answer",
        hint=hint or "Check the model's name, its outputs and the number of classes.",
    )
