"""The CIRCUITPY drive: files -> FAT12 -> files."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picodigits.bench import drive
from picodigits.errors import BenchError

FILES = {
    "code.py": b"print(1)\n",
    "settings.toml": b"",
    "UPPER.TXT": b"8.3",
    "lib/picodigits_board/__init__.py": b"x" * 511,
    "lib/picodigits_board/preprocess.py": b"y" * 512,
    "lib/adafruit_bus_device/i2c_device.py": b"z" * 513,
    "a name with spaces, longer than thirteen.letters": b"long",
    "Ünïcödé.txt": "ü".encode(),
}


def test_files_come_back_as_they_went_in() -> None:
    assert drive.read(drive.build(FILES)) == dict(sorted(FILES.items()))


def test_the_volume_is_one_mebibyte_and_a_fat12() -> None:
    image = drive.build(FILES)
    assert len(image) == 1 << 20
    assert image[510:512] == b"\x55\xaa"
    assert image[43:54] == b"CIRCUITPY  "
    assert image[512:515] == b"\xf8\xff\xff"


def test_the_same_files_give_the_same_bytes_in_any_order() -> None:
    backwards = dict(reversed(FILES.items()))
    assert drive.build(FILES) == drive.build(backwards)


def test_a_folder_of_many_files_spans_sectors() -> None:
    files = {f"lib/many/file_number_{number:03d}.py": bytes([number]) * number for number in range(200)}
    assert drive.read(drive.build(files)) == files


def test_short_names_of_similar_long_names_differ() -> None:
    image = drive.build({f"similar_name_{number}.data": b"" for number in range(12)})
    root = image[drive.ROOT_START * 512 : drive.DATA_START * 512]
    entries = [root[at : at + 32] for at in range(0, len(root), 32)]
    short = [entry[:11] for entry in entries if entry[0] and entry[11] == 0x20]
    assert len(short) == len(set(short)) == 12


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-zA-Z0-9_ -]{0,30}[a-z](/[a-z][a-z0-9_]{1,20}){0,3}\.(py|txt|bin)", fullmatch=True),
        st.binary(max_size=2000),
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_files_that_are_accepted_come_back(files: dict[str, bytes]) -> None:
    try:
        image = drive.build(files)
    except BenchError:
        return  # two names that differ in case alone, or a file and a folder of one name
    assert drive.read(image) == dict(sorted(files.items()))


def test_content_that_is_too_large_is_refused_with_sizes() -> None:
    with pytest.raises(BenchError, match=r"got 1100800 bytes in 2 files .* need at most 1028608.*big.bin \(1100000"):
        drive.build({"big.bin": bytes(1_100_000), "code.py": b"1"})


def test_a_full_drive_has_no_cluster_left() -> None:
    full = drive.fill(FILES)
    assert drive.used_bytes(full) == drive.CAPACITY_BYTES
    assert drive.read(drive.build(full)) == dict(sorted(full.items()))
    with pytest.raises(BenchError, match="need at most"):
        drive.build({**full, "one more": b"x"})


def test_a_drive_that_is_full_already_can_not_be_filled() -> None:
    with pytest.raises(BenchError, match="full already"):
        drive.fill(drive.fill(FILES))


@pytest.mark.parametrize("path", ["", "/code.py", "lib//x.py", "../x", "a:b", "tab\t", "dot.", "x" * 256])
def test_a_path_that_fat_can_not_hold_is_refused(path: str) -> None:
    with pytest.raises(BenchError, match="got the name"):
        drive.build({path: b""})


def test_names_that_differ_in_case_alone_are_refused() -> None:
    with pytest.raises(BenchError, match="FAT ignores case"):
        drive.build({"code.py": b"1", "CODE.PY": b"2"})


def test_a_file_and_a_folder_of_one_name_are_refused() -> None:
    with pytest.raises(BenchError, match="can't share a name"):
        drive.build({"lib": b"1", "lib/x.py": b"2"})


def test_too_many_files_in_the_root_are_refused() -> None:
    with pytest.raises(BenchError, match=r"need at most 512\. Put files into folders"):
        drive.build({f"file_number_{number:04d}.py": b"" for number in range(300)})


@pytest.mark.parametrize("image", [b"", bytes(1 << 20), b"\xff" * (1 << 20)])
def test_bytes_that_are_no_volume_are_refused(image: bytes) -> None:
    with pytest.raises(BenchError, match="need a FAT12 volume"):
        drive.read(image)


def test_a_volume_cut_short_is_refused() -> None:
    with pytest.raises(BenchError, match="Cut short"):
        drive.read(drive.build(FILES)[:100_000])


def test_a_chain_of_clusters_without_an_end_is_refused() -> None:
    image = bytearray(drive.build({"two.bin": bytes(1000)}))
    image[512 + 3 : 512 + 6] = b"\x03\x20\x00"  # clusters 2 -> 3 -> 2
    with pytest.raises(BenchError, match="without an end"):
        drive.read(image)
