"""Figures in Prometheus' text format: what a service says on /metrics. Pure but for the process's own start."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STARTED_AT = time.time()


@dataclass(frozen=True)
class Figure:
    """One figure: its name with unit (``_seconds``, ``_rows``; a counter's ends in ``_total``), and a value for each label set.

    Without samples it is announced and has no value: what is not known is left out, never a zero.
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: list[tuple[Mapping[str, str], float]] = field(default_factory=list)


def plain(name: str, kind: Literal["counter", "gauge"], help: str, value: float | None) -> Figure:
    """A figure without labels; None: not known."""
    return Figure(name, kind, help, [] if value is None else [({}, value)])


def labelled(
    name: str,
    kind: Literal["counter", "gauge"],
    help: str,
    label: str,
    values: Mapping[str, float] | Mapping[int, float],
) -> Figure:
    """A figure with one label, of which there are few values: partitions, topics, states. Never a migration's id."""
    return Figure(name, kind, help, [({label: str(key)}, value) for key, value in sorted(dict(values).items())])


def of_the_process(service: str) -> list[Figure]:
    """What every service says: which release it is, and since when it runs."""
    build = {"service": service, "version": version("holdfast")}
    return [
        Figure("holdfast_build_info", "gauge", "The release that runs; always 1.", [(build, 1)]),
        plain(
            "process_start_time_seconds",
            "gauge",
            "When the process started, in seconds since 1970.",
            round(_STARTED_AT, 3),
        ),
    ]


def text(figures: Iterable[Figure]) -> str:
    """All of it, as /metrics shows it."""
    lines = []
    for figure in figures:
        lines += [f"# HELP {figure.name} {_escaped(figure.help)}", f"# TYPE {figure.name} {figure.kind}"]
        for labels, value in figure.samples:
            shown = ",".join(f'{name}="{_escaped(content, quote=True)}"' for name, content in labels.items())
            lines.append(f"{figure.name}{{{shown}}} {_number(value)}" if shown else f"{figure.name} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escaped(content: str, quote: bool = False) -> str:
    content = content.replace("\\", "\\\\").replace("\n", "\\n")
    return content.replace('"', '\\"') if quote else content


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
