"""Settings for tests: as shipped, but quicker."""

from typing import Any

from holdfast_schemas.settings import ReporterSettings, Settings
from holdfast_schemas.transport.security import KafkaSettings


def quick(kafka: KafkaSettings | None = None, **changes: Any) -> Settings:
    """Reports each 0.1 s instead of each second; everything else is the default unless it is named."""
    reporter: dict[str, Any] = {"interval_seconds": 0.1, "floor_seconds": 0.02, "start_timeout_seconds": 10.0}
    return Settings(kafka=kafka or KafkaSettings(), reporter=ReporterSettings(**reporter | changes))
