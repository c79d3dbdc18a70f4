"""Who is in a profile, who agreed to it, and when: kept with the profile for as long as it exists."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from gan_space.errors import InputError, raise_all

MAX_CHARS = 300


def now() -> str:
    """Return the time as ISO 8601, to the second, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Consent:
    """A statement by whoever makes a profile; this program can keep it, not prove it.

    Args:
        whose_face: the person in the photos, in the user's own words, such as "my own face".
        agreed_by: who agreed that a profile is made, such as "myself".
        when: ISO 8601 with a time zone; now if left out.

    Raises:
        InputError: a field that is empty, too long or no time; all faults at once.

    Example:
        >>> Consent("my own face", "myself", "2026-05-04T10:00:00+00:00").to_dict()["agreed_by"]
        'myself'
    """

    whose_face: str
    agreed_by: str
    when: str = field(default_factory=now)

    def __post_init__(self):
        faults = []
        for name, example in (("whose_face", "my own face"), ("agreed_by", "myself")):
            text = getattr(self, name)
            if not isinstance(text, str) or not text.strip() or len(text) > MAX_CHARS:
                got = repr(text)[:60]
                faults.append(f"consent: {name} must be text of 1 to {MAX_CHARS} characters, as {example!r}; got {got}")
        faults += time_faults("consent: when", self.when)
        raise_all(faults, InputError)

    def to_dict(self) -> dict[str, str]:
        """Return it as JSON takes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: object) -> Consent:
        """Read what `to_dict` gave; InputError for anything else."""
        if not isinstance(content, dict) or set(content) != {"whose_face", "agreed_by", "when"}:
            raise InputError(f"consent must hold whose_face, agreed_by and when, got {repr(content)[:80]}")
        return cls(**content)


def time_faults(what: str, text: object) -> list[str]:
    """Return one fault unless `text` is a time as ISO 8601 with its zone."""
    try:
        if isinstance(text, str) and len(text) <= 40 and datetime.fromisoformat(text).tzinfo is not None:
            return []
    except ValueError:
        pass
    return [f"{what} must be a time with its zone, such as 2026-05-04T10:00:00+00:00; got {repr(text)[:60]}"]
