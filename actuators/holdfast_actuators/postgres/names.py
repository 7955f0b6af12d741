"""The names of what a migration's recovery needs on its server: the same for the same migration, whoever asks."""

from dataclasses import dataclass

from holdfast_schemas.identity import MigrationId, TargetName, server_object_name


@dataclass(frozen=True, slots=True)
class RecoveryNames:
    """Slot and publication share one name; ``origins`` are ``<name>_1`` and on, for a session each."""

    name: str
    origins: tuple[str, ...]

    @classmethod
    def of(cls, environment: str, target: TargetName, migration_id: MigrationId, origins: int) -> "RecoveryNames":
        """Names for ``origins`` sessions that may write for the migration at the same time."""
        name = server_object_name(environment, target, migration_id)
        return cls(name, tuple(f"{name}_{number}" for number in range(1, origins + 1)))

    def restore_point(self, arming: str) -> str:
        """Of one arming, told apart by ``arming``: recovery stops at the first point of a name."""
        return f"{self.name}_{arming}"
