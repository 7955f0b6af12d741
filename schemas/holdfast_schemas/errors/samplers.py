"""Why a target's health is not known."""

from dataclasses import dataclass

from .tree import NotFound, Unreachable


@dataclass
class SampleFailed(Unreachable):
    """A sampler could not take a sample: nothing is sent, and the signal goes stale."""

    detail: str

    def __str__(self) -> str:
        return self.detail


@dataclass
class TargetUnknown(NotFound):
    """The settings name no such target."""

    target: str

    def __str__(self) -> str:
        return (
            f'settings name no target {self.target}: write [targets.{self.target}] dsn = "postgresql://..." in holdfast.toml, '
            f"or set HOLDFAST_TARGETS__{self.target.upper()}__DSN"
        )
