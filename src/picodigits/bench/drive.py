"""The CIRCUITPY drive as bytes: files -> FAT12 volume -> files. No root rights, no mount, no helper program.

    image = build({"code.py": b"print(1)", "lib/picodigits_board/link.py": b"..."})
    read(image)["code.py"]

The volume is what CircuitPython 10 itself makes of the 1 MiB that a 2 MiB Pico leaves for files: one FAT of 12-bit
entries, sectors of 512 bytes, one sector a cluster, 512 root entries, label CIRCUITPY. Long names are written as
VFAT long names. The same files always give the same bytes: every date is 1 January 2020, the serial number is fixed.

Layout and field names: Microsoft, "FAT32 File System Specification" 1.03 (2000), which describes FAT12 too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from picodigits.errors import BenchError

SECTOR_BYTES = 512
VOLUME_SECTORS = 2048
VOLUME_BYTES = VOLUME_SECTORS * SECTOR_BYTES  # 1 MiB
FAT_SECTORS = 6  # 2011 entries of 12 bits = 3017 bytes
ROOT_ENTRIES = 512
ENTRY_BYTES = 32
FAT_START = 1  # sector; sector 0 is the boot sector
ROOT_START = FAT_START + FAT_SECTORS
DATA_START = ROOT_START + ROOT_ENTRIES * ENTRY_BYTES // SECTOR_BYTES
CLUSTERS = VOLUME_SECTORS - DATA_START
CAPACITY_BYTES = CLUSTERS * SECTOR_BYTES  # for files and folders, in whole sectors
LABEL = b"CIRCUITPY  "

_FIRST_CLUSTER = 2
_END = 0xFFF
_READ_ONLY_TO_VOLUME_ID = 0x08
_DIRECTORY = 0x10
_ARCHIVE = 0x20
_LONG_NAME = 0x0F
_DATE = (2020 - 1980) << 9 | 1 << 5 | 1
_SHORT_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")
_FORBIDDEN = frozenset('"*/:<>?\\|')


class _Folder(dict[str, "bytes | _Folder"]):
    """The entries of one folder by name."""


def build(files: Mapping[str, bytes]) -> bytes:
    """A FAT12 volume that holds exactly `files`.

    files: path ("/" between folders, no leading one) -> content
    returns VOLUME_BYTES bytes
    Raises BenchError for content that does not fit (with the sizes), and for paths that FAT can't hold.
    """
    tree = _tree(files)
    need = _sectors(tree, root=True)
    if need > CLUSTERS:
        largest = sorted(files, key=lambda path: len(files[path]), reverse=True)[:3]
        listed = ", ".join(f"{path} ({len(files[path])} bytes)" for path in largest)
        raise BenchError(
            f"CIRCUITPY: got {need * SECTOR_BYTES} bytes in {len(files)} files (whole sectors), "
            f"need at most {CAPACITY_BYTES}. The largest: {listed}"
        )
    return _Writer().write(tree)


def used_bytes(files: Mapping[str, bytes]) -> int:
    """Bytes that `files` and their folders take of CAPACITY_BYTES, in whole sectors. Raises BenchError as `build`."""
    return _sectors(_tree(files), root=True) * SECTOR_BYTES


def fill(files: Mapping[str, bytes], free_bytes: int = 0, path: str = "filler.bin") -> dict[str, bytes]:
    """`files` and one more that leaves at most `free_bytes` free: a full drive.

    Raises BenchError where `files` alone leave less than that.
    """
    rest = CAPACITY_BYTES - used_bytes(files) - free_bytes
    if rest <= 0:
        raise BenchError(
            f"CIRCUITPY: got {CAPACITY_BYTES - used_bytes(files)} bytes free, need more than {free_bytes}. "
            "It is full already"
        )
    return {**files, path: bytes(rest)}


def read(image: bytes | bytearray | memoryview) -> dict[str, bytes]:
    """Every file of a FAT12 volume: path -> content, sorted by path.

    image: VOLUME_BYTES bytes or more; any FAT12 volume with sectors of 512 bytes, CircuitPython's own among them
    Raises BenchError for bytes that are no such volume, or a damaged one.
    """
    return dict(sorted(_Reader(bytes(image)).walk()))


def _tree(files: Mapping[str, bytes]) -> _Folder:
    root = _Folder()
    for path in sorted(files):
        *folders, name = path.split("/")
        folder = root
        for part in folders:
            _check_name(path, part)
            below = folder.setdefault(_same_name(folder, part), _Folder())
            if not isinstance(below, _Folder):
                raise BenchError(f"{path}: {part} is a file. A file and a folder can't share a name")
            folder = below
        _check_name(path, name)
        if _same_name(folder, name) in folder:
            raise BenchError(f"{path}: got two entries of this name (FAT ignores case), need one")
        folder[name] = bytes(files[path])
    return root


def _same_name(folder: _Folder, name: str) -> str:
    """The name in `folder` that equals `name` but for its case, or `name` itself."""
    return next((known for known in folder if known.lower() == name.lower()), name)


def _check_name(path: str, name: str) -> None:
    if not name or name in (".", "..") or name.endswith((" ", ".")) or len(name) > 255:
        raise BenchError(f"{path!r}: got the name {name!r}, need 1 to 255 letters, no final dot or space")
    if any(letter in _FORBIDDEN or ord(letter) < 0x20 for letter in name):
        raise BenchError(f'{path!r}: got the name {name!r}, need one without any of " * / : < > ? \\ |')


def _sectors(folder: _Folder, *, root: bool = False) -> int:
    """Data sectors that a folder takes, with all that is in it."""
    own = 0 if root else _whole_sectors(_folder_entries(folder, root=False) * ENTRY_BYTES)
    below = (_sectors(entry) if isinstance(entry, _Folder) else _whole_sectors(len(entry)) for entry in folder.values())
    return own + sum(below)


def _folder_entries(folder: _Folder, *, root: bool) -> int:
    own = 1 if root else 2  # the label, or "." and ".."
    return own + sum(1 + _long_entries(name) for name in folder)


def _long_entries(name: str) -> int:
    return 0 if _is_short(name) else -(-len(name.encode("utf-16-le")) // 26)


def _whole_sectors(length: int) -> int:
    return -(-length // SECTOR_BYTES)


def _is_short(name: str) -> bool:
    """True for a name that is its own 8.3 name."""
    base, dot, extension = name.partition(".")
    if not 1 <= len(base) <= 8 or (dot and not 1 <= len(extension) <= 3):
        return False
    return all(ord(letter) in _SHORT_LETTERS for letter in base + extension)


def _short_name(name: str, taken: set[bytes]) -> bytes:
    """The 11 bytes of a directory entry's name; made up and unique where the name itself is not short."""
    base, _, extension = name.rpartition(".") if "." in name[1:] else (name, "", "")
    if _is_short(name):
        base, _, extension = name.partition(".")
        return base.encode().ljust(8) + extension.encode().ljust(3)
    base = "".join(letter for letter in base.upper() if ord(letter) in _SHORT_LETTERS) or "FILE"
    extension = "".join(letter for letter in extension.upper() if ord(letter) in _SHORT_LETTERS)[:3]
    for number in range(1, 100_000):
        tail = f"~{number}"
        short = (base[: 8 - len(tail)] + tail).encode().ljust(8) + extension.encode().ljust(3)
        if short not in taken:
            return short
    raise BenchError(f"{name}: got more than 100000 files with this short name, need fewer")


def _checksum(short: bytes) -> int:
    """The checksum that ties long-name entries to their short entry."""
    total = 0
    for byte in short:
        total = ((total & 1) << 7 | total >> 1) + byte & 0xFF
    return total


class _Writer:
    """Hands out clusters one after the other; nothing is fragmented."""

    def __init__(self) -> None:
        self._fat = [0xFF8, 0xFFF] + [0] * CLUSTERS
        self._next = _FIRST_CLUSTER
        self._data = bytearray(CLUSTERS * SECTOR_BYTES)

    def write(self, root: _Folder) -> bytes:
        label = struct.pack("<11sBxxxxxxxxxxHHHI", LABEL, _READ_ONLY_TO_VOLUME_ID, 0, _DATE, 0, 0)
        entries = label + self._entries(root, 0)
        if len(entries) > ROOT_ENTRIES * ENTRY_BYTES:
            raise BenchError(
                f"CIRCUITPY: got {len(entries) // ENTRY_BYTES} entries in its root folder, "
                f"need at most {ROOT_ENTRIES}. Put files into folders"
            )
        fat = bytearray()
        for low, high in zip(self._fat[::2], [*self._fat[1::2], 0], strict=False):
            fat += (low | high << 12).to_bytes(3, "little")
        return (
            _boot_sector()
            + bytes(fat).ljust(FAT_SECTORS * SECTOR_BYTES, b"\0")
            + entries.ljust(ROOT_ENTRIES * ENTRY_BYTES, b"\0")
            + bytes(self._data)
        )

    def _entries(self, folder: _Folder, parent: int) -> bytes:
        """The 32-byte entries of what lies in `folder`, whose first cluster is `parent` (0: the root)."""
        taken: set[bytes] = set()
        entries = bytearray()
        for name, content in folder.items():
            short = _short_name(name, taken)
            taken.add(short)
            if not _is_short(name):
                entries += _long_name(name, short)
            if isinstance(content, _Folder):
                first = self._folder(content, parent)
                entries += _entry(short, _DIRECTORY, first, 0)
            else:
                first = self._allocate(len(content))
                self._store(first, content)
                entries += _entry(short, _ARCHIVE, first, len(content))
        return bytes(entries)

    def _folder(self, folder: _Folder, parent: int) -> int:
        length = _folder_entries(folder, root=False) * ENTRY_BYTES
        first = self._allocate(length)
        dots = _entry(b".          ", _DIRECTORY, first, 0) + _entry(b"..         ", _DIRECTORY, parent, 0)
        self._store(first, dots + self._entries(folder, first))
        return first

    def _allocate(self, length: int) -> int:
        """The first of as many clusters in a row as `length` bytes need; 0 for none."""
        count = _whole_sectors(length)
        if count == 0:
            return 0
        first = self._next
        self._next += count
        for cluster in range(first, first + count - 1):
            self._fat[cluster] = cluster + 1
        self._fat[first + count - 1] = _END
        return first

    def _store(self, first: int, content: bytes) -> None:
        if content:
            start = (first - _FIRST_CLUSTER) * SECTOR_BYTES
            self._data[start : start + len(content)] = content


def _boot_sector() -> bytes:
    sector = struct.pack(
        "<3s8sHBHBHHBHHHII BBBI11s8s".replace(" ", ""),
        b"\xeb\x3c\x90",
        b"MSDOS5.0",
        SECTOR_BYTES,
        1,  # sectors per cluster
        FAT_START,  # reserved sectors
        1,  # FATs
        ROOT_ENTRIES,
        VOLUME_SECTORS,
        0xF8,  # fixed disk
        FAT_SECTORS,
        63,  # sectors per track
        255,  # heads
        0,  # hidden sectors
        0,  # sectors, where they do not fit 16 bits
        0x80,  # drive number
        0,
        0x29,  # the three fields below are there
        0x20200101,  # serial number
        LABEL,
        b"FAT     ",
    )
    return sector.ljust(510, b"\0") + b"\x55\xaa"


def _entry(short: bytes, attributes: int, first_cluster: int, length: int) -> bytes:
    return struct.pack(
        "<11sBBBHHHHHHHI",
        short,
        attributes,
        0,
        0,
        0,
        _DATE,
        _DATE,
        0,
        0,
        _DATE,
        first_cluster,
        length,
    )


def _long_name(name: str, short: bytes) -> bytes:
    """The entries that stand before the short one, last piece first; 13 letters of UTF-16 each."""
    encoded = name.encode("utf-16-le")
    if len(encoded) % 26:
        encoded += b"\0\0"
    encoded = encoded.ljust(_long_entries(name) * 26, b"\xff")
    pieces = [encoded[at : at + 26] for at in range(0, len(encoded), 26)]
    entries = []
    for order, piece in enumerate(pieces, start=1):
        last = 0x40 if order == len(pieces) else 0
        head = struct.pack("<B10sBBB", order | last, piece[:10], _LONG_NAME, 0, _checksum(short))
        entries.append(head + piece[10:22] + b"\0\0" + piece[22:])
    return b"".join(reversed(entries))


class _Reader:
    """Walks a FAT12 volume, trusting nothing in it."""

    def __init__(self, image: bytes) -> None:
        if len(image) < SECTOR_BYTES or image[510:512] != b"\x55\xaa":
            raise BenchError(f"CIRCUITPY: got {len(image)} bytes without a boot sector, need a FAT12 volume")
        (
            sector_bytes,
            self._cluster_sectors,
            reserved,
            fats,
            root_entries,
            sectors,
            _media,
            fat_sectors,
        ) = struct.unpack_from("<HBHBHHBH", image, 11)
        if sector_bytes != SECTOR_BYTES or not self._cluster_sectors or not fat_sectors or not root_entries:
            raise BenchError(f"CIRCUITPY: got sectors of {sector_bytes} bytes, need a FAT12 volume with 512")
        if len(image) < sectors * SECTOR_BYTES:
            raise BenchError(f"CIRCUITPY: got {len(image)} bytes, need {sectors * SECTOR_BYTES}. Cut short?")
        self._image = image
        self._fat = image[reserved * SECTOR_BYTES : (reserved + fat_sectors) * SECTOR_BYTES]
        root_start = reserved + fats * fat_sectors
        self._root = slice(root_start * SECTOR_BYTES, root_start * SECTOR_BYTES + root_entries * ENTRY_BYTES)
        self._data_start = self._root.stop
        self._clusters = (sectors * SECTOR_BYTES - self._data_start) // (SECTOR_BYTES * self._cluster_sectors)
        if self._clusters >= 4085:
            raise BenchError(f"CIRCUITPY: got {self._clusters} clusters, need fewer than 4085 (FAT12)")

    def walk(self) -> Iterator[tuple[str, bytes]]:
        yield from self._walk(self._image[self._root], "", 0)

    def _walk(self, entries: bytes, prefix: str, depth: int) -> Iterator[tuple[str, bytes]]:
        if depth > 16:
            raise BenchError(f"CIRCUITPY: got folders nested too deeply at {prefix}, need a sound volume")
        long_name = ""
        for at in range(0, len(entries), ENTRY_BYTES):
            entry = entries[at : at + ENTRY_BYTES]
            if entry[0] == 0:
                return
            attributes = entry[11]
            if entry[0] == 0xE5:
                long_name = ""
            elif attributes == _LONG_NAME:
                piece = (entry[1:11] + entry[14:26] + entry[28:32]).decode("utf-16-le", "replace")
                long_name = piece.split("\0")[0].rstrip("\uffff") + long_name
            elif attributes & _READ_ONLY_TO_VOLUME_ID or entry[0] == ord("."):
                long_name = ""
            else:
                name = long_name or _name_of(entry)
                long_name = ""
                first, length = struct.unpack_from("<HI", entry, 26)
                content = self._chain(first, prefix + name)
                if attributes & _DIRECTORY:
                    yield from self._walk(content, f"{prefix}{name}/", depth + 1)
                elif len(content) < length:
                    raise BenchError(f"{prefix}{name}: got {len(content)} bytes, need {length}. The drive is damaged")
                else:
                    yield prefix + name, content[:length]

    def _chain(self, cluster: int, path: str) -> bytes:
        """The content of the clusters from this one on."""
        content = bytearray()
        size = self._cluster_sectors * SECTOR_BYTES
        for _ in range(self._clusters + 1):
            if not _FIRST_CLUSTER <= cluster < self._clusters + _FIRST_CLUSTER:
                return bytes(content)
            start = self._data_start + (cluster - _FIRST_CLUSTER) * size
            content += self._image[start : start + size]
            pair = int.from_bytes(self._fat[cluster * 3 // 2 : cluster * 3 // 2 + 2], "little")
            cluster = pair >> 4 if cluster & 1 else pair & 0xFFF
        raise BenchError(f"{path}: got a chain of clusters without an end, need a sound volume")


def _name_of(entry: bytes) -> str:
    """The 8.3 name, with the two bits by which Windows and FatFs mark lower case."""
    base = entry[:8].rstrip().decode("latin-1")
    extension = entry[8:11].rstrip().decode("latin-1")
    base = base.lower() if entry[12] & 0x08 else base
    extension = extension.lower() if entry[12] & 0x10 else extension
    return f"{base}.{extension}" if extension else base
