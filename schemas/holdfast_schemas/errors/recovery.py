"""The target's database, where recovery is prepared and done."""

from dataclasses import dataclass

from .tree import Refused, Unreachable


@dataclass
class TargetUnreachable(Unreachable):
    """The target's database does not answer, or does not let us in."""

    target: str
    detail: str

    def __str__(self) -> str:
        return f"target {self.target} cannot be reached: {self.detail}; check its dsn under [targets] and that it is up"


@dataclass
class RecoveryMoved(Refused):
    """The recovery is not in the state that the step needs: somebody else moved it on, or it never got there."""

    migration_id: str
    state: str
    wanted: str

    def __str__(self) -> str:
        return (
            f"the recovery of {self.migration_id} is {self.state}, and this needs {self.wanted}: ask holdfast preflight"
        )
