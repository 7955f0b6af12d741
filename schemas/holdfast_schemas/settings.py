"""Settings: the environment, then secrets in files, then ``holdfast.toml``.

``HOLDFAST_KAFKA__BOOTSTRAP_SERVERS=…`` sets ``[kafka] bootstrap_servers``; so does a file of that name in the folder that
``HOLDFAST_SECRETS_DIR`` names, as container engines and systemd mount secrets. The settings file is ``holdfast.toml`` in
the working directory, or the one that ``HOLDFAST_CONFIG`` names. What the engine judges by is in the log (triggers).
"""

import os
import re
import tomllib
from base64 import b64decode
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from .errors import SecretsUnreadable, SettingsInvalid, SettingsUnreadable
from .identity import NAME_PATTERN, MigrationId, TargetName
from .problems import problems
from .states import Mode, OnGuardLoss
from .transport.security import KafkaSettings

CONFIG_VARIABLE = "HOLDFAST_CONFIG"
SECRETS_VARIABLE = "HOLDFAST_SECRETS_DIR"
KEEP_DAYS_MIN, KEEP_DAYS_MAX = 98, 36_500
PositiveSeconds = Annotated[float, Field(gt=0, le=7 * 86_400)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReporterSettings(Section):
    """The runner's side."""

    mode: Mode = "guard"
    on_guard_loss: OnGuardLoss = "pause"
    start_timeout_seconds: PositiveSeconds = 30.0
    interval_seconds: PositiveSeconds = 1.0
    floor_seconds: PositiveSeconds = 0.1
    close_timeout_seconds: PositiveSeconds = 2.0
    acknowledgement_seconds: PositiveSeconds = 10.0
    guard_return_spread_seconds: Annotated[float, Field(ge=0, le=600)] = 10.0
    """After a lapse of the guard lease runs go on at a random moment of this span, not all at once."""
    message_texts: bool = False
    """Send the texts of error messages (redacted, at most 512 bytes). Off: only class, SQLSTATE and template."""


class WebSettings(Section):
    """Where a service answers /healthz, /readyz and /metrics. Port 0 takes a free one and logs it."""

    web_host: str = "127.0.0.1"
    web_port: Annotated[int, Field(ge=0, le=65_535)] = 0


class ProcessorSettings(WebSettings):
    """The stream processor's runtime. None of these changes a judgement."""

    name: Annotated[str, Field(min_length=1, max_length=100)] = "processor"
    web_port: Annotated[int, Field(ge=0, le=65_535)] = 6066
    session_timeout_seconds: PositiveSeconds = 10.0
    heartbeat_seconds: PositiveSeconds = 1.0
    tick_seconds: PositiveSeconds = 1.0
    keep_seconds: PositiveSeconds = 5.0
    keep_states_per_second: Annotated[int, Field(ge=1)] = 2_000
    group_instance_id: str | None = None


class ActuatorSettings(WebSettings):
    """The actuator."""

    name: Annotated[str, Field(min_length=1, max_length=100)] = "actuator"
    """Its static membership in the consumer group: unique among actuators, the same after a restart."""
    web_port: Annotated[int, Field(ge=0, le=65_535)] = 6067
    session_timeout_seconds: PositiveSeconds = 10.0
    beat_seconds: PositiveSeconds = 2.0
    lease_seconds: PositiveSeconds = 30.0
    watched_fresh_seconds: PositiveSeconds = 5.0
    decision_age_seconds: PositiveSeconds = 60.0
    acknowledgement_seconds: PositiveSeconds = 10.0
    worker_heard_seconds: PositiveSeconds = 30.0
    undo_silent_seconds: PositiveSeconds = 40.0
    lost_after_seconds: PositiveSeconds = 86_400.0
    journal_keep_days: Annotated[float, Field(gt=0, le=3_650)] = 30.0
    """In a target: old rows and conflicts of what was never disarmed go after so long, unless an undo still needs them."""
    notify_url: SecretStr = SecretStr("")
    """The webhook: http or https; it often holds a token, so it is never printed. Empty: nobody is notified."""
    notify_secret: SecretStr = SecretStr("")
    """Signs each notification, as Standard Webhooks do: ``whsec_`` and base64. Empty: unsigned."""
    notify_timeout_seconds: PositiveSeconds = 5.0
    notify_cooldown_seconds: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """What says the same of the same run again within this time is not sent."""
    notify_give_up_seconds: PositiveSeconds = 86_400.0

    @field_validator("notify_url")
    @classmethod
    def _is_a_web_address(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if text and not (re.fullmatch(r"https?://[!-~]+", text) and urlsplit(text).hostname and "@" not in text):
            raise ValueError("allowed are http://… and https://… addresses, without a user's name and password")
        return url

    @field_validator("notify_secret")
    @classmethod
    def _is_a_signing_key(cls, secret: SecretStr) -> SecretStr:
        text = secret.get_secret_value()
        try:
            if not text or (text.startswith("whsec_") and len(b64decode(text[6:], validate=True)) >= 24):
                return secret
        except ValueError:
            pass
        raise ValueError(
            "allowed is whsec_ followed by base64 of 24 bytes or more, such as of `openssl rand -base64 32`"
        )


class LedgerSettings(Section):
    """The actuator's PostgreSQL database: what was decided, asked for and achieved."""

    dsn: SecretStr = SecretStr("")
    """A libpq connection string. Empty: the actuator refuses to start and says so."""
    schema_name: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,40}$")] = "holdfast"
    keep_days: int = 120
    """What is final is deleted after so long; always longer than its topics hold it, else a replay would find it new."""

    @field_validator("keep_days")
    @classmethod
    def _is_longer_than_the_topics(cls, days: int) -> int:
        if KEEP_DAYS_MIN <= days <= KEEP_DAYS_MAX:
            return days
        raise ValueError(
            f"allowed are {KEEP_DAYS_MIN} to {KEEP_DAYS_MAX} days: decisions and requests stay on their topics for 90,"
            " and for up to 7 more until the broker drops their segment"
        )


class BackupSettings(Section):
    """Where a target's base backups and its archived WAL are: point-in-time recovery is prepared where this is set."""

    folder: Path | None = None
    """Of base backups, a sub-folder each; one is made in it where none is young enough."""
    restore_command: str | None = None
    """As PostgreSQL's own setting: copies the archived file ``%f`` to ``%p``, and only reads the archive."""
    stanza: str | None = None
    """pgBackRest's: in place of the two."""
    method: Literal["auto", "pg_basebackup", "low_level"] = "auto"
    checkpoint: Literal["fast", "spread"] = "fast"
    bindir: Path | None = None
    """Of PostgreSQL's programs of the server's version, where they are not at a package's place or on PATH."""
    max_age_days: Annotated[float, Field(gt=0)] = 7
    keep_days: Annotated[float, Field(gt=0)] = 30
    archive_timeout_seconds: Annotated[float, Field(gt=0)] = 60

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.folder is None or self.restore_command is None) == (self.stanza is None):
            raise ValueError("allowed are folder and restore_command together, or stanza alone")
        if self.restore_command is not None and "%f" not in self.restore_command:
            raise ValueError("allowed is a restore_command that names %f and %p: cp /archive/%f %p")
        return self


class TargetSettings(Section):
    """A target database: events name it, only the actuator's settings know where it is."""

    dsn: Annotated[SecretStr, Field(validate_default=True)] = SecretStr("")
    """A libpq connection string; it must be there."""
    backup: BackupSettings | None = None

    @field_validator("dsn")
    @classmethod
    def _says_where(cls, dsn: SecretStr) -> SecretStr:
        if dsn.get_secret_value().strip():
            return dsn
        raise ValueError("allowed is a libpq connection string: postgresql://holdfast_actuator@db/app")


class MigrationSettings(Section):
    """What a migration touches, and how it is protected."""

    target: TargetName
    tables: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    """As SQL writes them, with their schema: ``public.orders``. A partitioned table stands for all its leaves."""
    role: Annotated[str, Field(min_length=1, max_length=63)]
    """The role that the migration's sessions connect as, and nothing else does: it is what a fence closes."""
    plan: Path | None = None
    """A file with the migration's SQL, for preflight to say what of it can be taken back."""
    protect: Literal["auto", "always", "never"] = "auto"
    major_bytes: Annotated[int, Field(ge=0)] = 1_000_000_000
    """``auto`` also arms where its tables, with indexes, hold more: up to here a copy made by hand takes seconds."""
    sessions: Annotated[int, Field(ge=1, le=100)] = 4
    """How many sessions may write for it at once: a replication origin each."""
    slot_bytes_max: Annotated[int, Field(ge=0)] = 100_000_000_000
    """Of WAL that its slot may keep on the server's disk; beyond it the slot is given up, and the log is no way back any more."""
    slot_days_max: Annotated[float, Field(gt=0)] = 7
    """How long it may be armed, likewise: a slot also keeps the catalog's dead rows."""

    @field_validator("tables")
    @classmethod
    def _are_qualified_once(cls, tables: tuple[str, ...]) -> tuple[str, ...]:
        for name in tables:
            if not re.fullmatch(r'("([^"]|"")+"|[^".\s]+)\.("([^"]|"")+"|[^".\s]+)', name):
                raise ValueError(
                    'allowed are names with their schema, as SQL writes them: public.orders, "Sales"."Order"'
                )
        if len(set(tables)) < len(tables):
            raise ValueError("allowed is each table once")
        return tables


class Settings(BaseSettings):
    """All of it. ``Settings.load()`` reads file and environment and refuses in words."""

    model_config = SettingsConfigDict(
        env_prefix="HOLDFAST_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        case_sensitive=False,
    )

    environment: Annotated[str, Field(pattern=NAME_PATTERN)] = "default"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    kafka: KafkaSettings = KafkaSettings()
    reporter: ReporterSettings = ReporterSettings()
    processor: ProcessorSettings = ProcessorSettings()
    actuator: ActuatorSettings = ActuatorSettings()
    ledger: LedgerSettings = LedgerSettings()
    targets: dict[TargetName, TargetSettings] = {}
    migrations: dict[MigrationId, MigrationSettings] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        secrets = NestedSecretsSettingsSource(
            file_secret_settings, secrets_dir=os.environ.get(SECRETS_VARIABLE), secrets_dir_missing="error"
        )
        return init_settings, env_settings, secrets, TomlConfigSettingsSource(settings_cls, config_file())

    @classmethod
    def load(cls, **overrides: Any) -> "Settings":
        """Settings of this process. Raises SettingsInvalid or SettingsUnreadable, which name file, key and cure."""
        if mode := os.environ.get("HOLDFAST_MODE"):
            overrides.setdefault("reporter", {}).setdefault("mode", mode)
        try:
            return cls(**overrides)
        except (SettingsError, OSError, UnicodeDecodeError) as error:
            folder = os.environ.get(SECRETS_VARIABLE, "")
            raise SecretsUnreadable(Path(folder), " ".join(str(error).split())) from None
        except tomllib.TOMLDecodeError as error:
            raise SettingsUnreadable(config_file(), str(error)) from None
        except ValidationError as error:
            raise SettingsInvalid(_source(), problems(error, cls)) from None


def config_file() -> Path:
    """The settings file: ``HOLDFAST_CONFIG``, else ``holdfast.toml`` in the working directory."""
    return Path(os.environ.get(CONFIG_VARIABLE, "holdfast.toml"))


def _source() -> str:
    path = config_file()
    return f"{path} and the environment" if path.exists() else "the environment; there is no holdfast.toml"


def variables() -> set[str]:
    """Every environment variable that settings know (dictionaries by name are not listed)."""
    names = {CONFIG_VARIABLE, SECRETS_VARIABLE, "HOLDFAST_MODE", "HOLDFAST_RUN_ID"}
    for name, section in Settings.model_fields.items():
        kind = section.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names |= {f"HOLDFAST_{name}__{key}".upper() for key in kind.model_fields}
        else:
            names.add(f"HOLDFAST_{name}".upper())
    return names
