"""Kept states that this processor must not judge by."""

from dataclasses import dataclass

from .tree import HoldfastError


@dataclass
class StateTooNew(HoldfastError):
    """A kept state was written by a newer release: reading it with this one would judge wrongly."""

    key: str
    found: int
    known: int

    def __str__(self) -> str:
        return (
            f"the state of {self.key} has version {self.found}, this release reads {self.known}: run the newer release"
        )


@dataclass
class ForeignLog(HoldfastError):
    """A kept state belongs to another log than the partition's: the topic was made anew, or the stores were mixed."""

    key: str
    found: str
    expected: str

    def __str__(self) -> str:
        return (
            f"the state of {self.key} was kept beside log {self.found}, this partition's is {self.expected}: "
            "give the processors the changelog that belongs to these events, or an empty one"
        )


@dataclass
class LogRecreated(HoldfastError):
    """The log ends before what was judged of it: another topic stands under its name. Judging on would skip it silently."""

    topic: str
    partition: int
    position: int
    end: int
    changelog: str

    def __str__(self) -> str:
        return (
            f"{self.topic}-{self.partition} ends at offset {self.end}, but offset {self.position} was reached before:"
            " the topic was recreated; restore it, or begin anew:"
            f" holdfast topics create after deleting {self.changelog}, with every processor stopped"
        )
