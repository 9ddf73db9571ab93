"""What a task's data checker finds: figures of each split, problems, remarks, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class DataReport:
    """Collected by `tasks.<task>.check.check(config)`, shown by `tools/check_data.py`.

    Attributes:
        rows: a dict for each split, with the same keys: `split`, and the figures worth knowing.
        problems: one line each: file, what is wrong, what was expected, how to mend it. Training would fail on them.
        notes: one line each: what to hold results against.
        remarks: one line each: true of these data, worth knowing, no reason to stop.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """No problem was found."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """One line."""
        if self.sound:
            return f"sound: {len(self.remarks)} remarks" if self.remarks else "sound"
        return f"not usable: {len(self.problems)} problems"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "sound": self.sound,
            "verdict": self.verdict,
            "splits": self.rows,
            "notes": self.notes,
            "problems": self.problems,
            "remarks": self.remarks,
        }
