"""How far a file was loaded, kept beside it, so that a load that was interrupted goes on."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

_HEAD_BYTES: Final = 4096
"""Of a file so much is compared, to tell whether it is the one that was being loaded."""


class Checkpoint:
    """For the load of one file into one collector. Where it cannot be kept, a load begins anew."""

    def __init__(self, file: Path, collector: str) -> None:
        self.path = Path(f"{file}.loading")
        self._file = file
        self._collector = collector

    def read(self) -> tuple[int, dict[str, int]]:
        """The records that are done, and what became of them."""
        try:
            found = json.loads(self.path.read_bytes())
            if found["load"] == self._load(int(found["load"]["bytes"])):
                return int(found["records"]), {k: int(n) for k, n in found["counts"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            pass
        return 0, {}

    def write(self, records: int, counts: dict[str, int]) -> bool:
        """Whether that could be kept."""
        size = min(self._file.stat().st_size, _HEAD_BYTES)
        told = {"load": self._load(size), "records": records, "counts": counts}
        fresh = Path(f"{self.path}.new")
        try:
            fresh.write_text(json.dumps(told))
            fresh.replace(self.path)
        except OSError:
            return False
        return True

    def remove(self) -> None:
        """The file is loaded."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _load(self, size: int) -> dict[str, str | int]:
        with self._file.open("rb") as file:
            head = file.read(min(size, _HEAD_BYTES))
        digest = blake2b(head, digest_size=16).hexdigest()
        return {"bytes": len(head), "head": digest, "collector": self._collector}
