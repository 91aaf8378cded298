"""The CircuitPython UF2: finding and checking it. No network, no real firmware."""

from __future__ import annotations

import struct
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from picodigits.bench import firmware
from picodigits.errors import FirmwareError

BANNER = b"\0Adafruit CircuitPython 10.0.0 on 2025-10-01; Raspberry Pi Pico with rp2040\0"


def uf2(payload: bytes = BANNER, *, family: int = firmware.RP2040_FAMILY, start: int = 0x10000000) -> bytearray:
    pieces = [payload[at : at + 256].ljust(256, b"\0") for at in range(0, max(len(payload), 1), 256)]
    blocks = bytearray()
    for number, piece in enumerate(pieces):
        head = (0x0A324655, 0x9E5D5157, 0x2000, start + number * 256, 256, number, len(pieces), family)
        blocks += struct.pack("<8I476sI", *head, piece, 0x0AB16F30)
    return blocks


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(firmware, "cache_folder", lambda: tmp_path / "cache" / "firmware")
    monkeypatch.setattr(firmware, "SHA256", {})
    return tmp_path / "cache" / "firmware"


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_whole_uf2_for_the_pico_is_accepted(tmp_path: Path) -> None:
    found = firmware.check(written(tmp_path / "a.uf2", uf2(bytes(600) + BANNER)))
    assert (found.version, found.date, found.board) == ("10.0.0", "2025-10-01", "Raspberry Pi Pico")
    assert found.bytes_in_flash == 768


def test_a_banner_across_two_blocks_is_found(tmp_path: Path) -> None:
    assert firmware.check(written(tmp_path / "a.uf2", uf2(bytes(230) + BANNER))).version == "10.0.0"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got 0 bytes, need a multiple of 512"),
        (bytes(uf2())[:-1], "got 511 bytes, need a multiple of 512"),
        (bytes(512), "got no UF2 magic in block 0"),
        (bytes(uf2(family=0xE48BFF59)), "got UF2 family E48BFF59 in block 0, need E48BFF56"),
        (bytes(uf2(bytes(600)))[:1024], "got block 0 of 3 at place 0 of 2"),
        (bytes(uf2(start=0x20000000)), "got 256 bytes for 20000000, need the Pico's flash"),
        (bytes(uf2(b"MicroPython")), "got a UF2 without CircuitPython"),
        (bytes(uf2(BANNER.replace(b"Pico", b"Pico W"))), r"got CircuitPython for Raspberry Pi Pico W \(rp2040\)"),
    ],
)
def test_a_wrong_file_is_refused_and_the_message_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(FirmwareError, match=message):
        firmware.check(written(tmp_path / "a.uf2", content))


def test_blocks_out_of_order_are_refused(tmp_path: Path) -> None:
    whole = bytes(uf2(bytes(600) + BANNER))
    with pytest.raises(FirmwareError, match="need them in order"):
        firmware.check(written(tmp_path / "a.uf2", whole[512:1024] + whole[:512] + whole[1024:]))


def test_a_missing_default_names_the_exact_path_where_it_belongs(cache: Path) -> None:
    path = cache / "adafruit-circuitpython-raspberry_pi_pico-en_US-10.0.0.uf2"
    with pytest.raises(FirmwareError) as caught:
        firmware.find()
    assert str(path) in str(caught.value)
    assert "put the file there" in str(caught.value)


def test_the_cached_default_is_found(cache: Path) -> None:
    path = written(firmware.cached_path(), uf2())
    assert firmware.find().path == path


def test_another_version_under_the_name_of_the_default_is_refused(cache: Path) -> None:
    written(firmware.cached_path(), uf2(BANNER.replace(b"10.0.0", b"9.2.8")))
    with pytest.raises(FirmwareError, match=r"got CircuitPython 9\.2\.8, need 10\.0\.0"):
        firmware.find()


def test_a_wrong_checksum_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "SHA256", {"10.0.0": "0" * 64})
    written(firmware.cached_path(), uf2())
    with pytest.raises(FirmwareError, match="got SHA-256"):
        firmware.find()


def test_a_file_of_ones_own_is_taken_whatever_its_version(cache: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "mine.uf2", uf2(BANNER.replace(b"10.0.0", b"10.1.0-beta.1")))
    assert firmware.find(path).version == "10.1.0-beta.1"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FirmwareError, match=r"nowhere\.uf2: got No such file"):
        firmware.fetch(tmp_path / "nowhere.uf2")


def test_an_unknown_version_lists_known_ones(cache: Path) -> None:
    with pytest.raises(FirmwareError, match=r"got '10\.99\.0', need .* from 10\.x: .*10\.0\.0"):
        firmware.find("10.99.0")


class Response:
    def __init__(self, content: bytes, length: int | None = None) -> None:
        self.content = content
        self.headers = {"Content-Length": str(len(content) if length is None else length)}

    def read(self, size: int) -> bytes:
        piece, self.content = self.content[:size], self.content[size:]
        return piece

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_download_is_checked_cached_and_reported(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    content = bytes(uf2(bytes(100_000) + BANNER))

    def open_address(address: str, timeout: float) -> Response:
        asked.append(address)
        return Response(content)

    monkeypatch.setattr(urllib.request, "urlopen", open_address)
    steps: list[tuple[int, int]] = []
    found = firmware.fetch(progress=lambda done, total: steps.append((done, total)))
    assert found.path == firmware.cached_path()
    assert found.path.read_bytes() == content
    assert steps[-1] == (len(content), len(content))
    assert len(steps) > 1
    assert "adafruit" in asked[0]
    assert firmware.fetch().path == found.path
    assert len(asked) == 1


def test_a_download_cut_short_leaves_nothing_behind(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Response(bytes(uf2()), 5000))
    with pytest.raises(FirmwareError, match="got 512 bytes, need 5000"):
        firmware.fetch()
    assert list(cache.iterdir()) == []


def test_without_a_network_the_message_names_the_path(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Response:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(FirmwareError) as caught:
        firmware.fetch()
    assert str(firmware.cached_path()) in str(caught.value)
