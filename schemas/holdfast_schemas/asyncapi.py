"""The topics as an AsyncAPI 3.0 document: what anybody may subscribe to, in any language. JSON, which is YAML too."""

from importlib.metadata import version
from typing import Any

from .record import Record
from .transport.topics import CONTRACT_TOPICS, Topic

HEADERS = {
    "ce_specversion": "1.0, of CloudEvents in Kafka's binary mode",
    "ce_id": "the same for a repeat of the same record",
    "ce_source": "who sent it",
    "ce_type": "the record's type after `holdfast.`",
    "ce_time": "when the sender says that it happened; judgement goes by the broker's time",
    "content-type": "application/json",
    "traceparent": "passed on where there was one",
}


def document() -> dict[str, Any]:
    """The document; payloads are references to the JSON Schema files beside it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Holdfast",
            "version": version("holdfast"),
            "description": "A guard for database migrations. Topics have the prefix that your settings say; here it is "
            "the default. A minor schema_version only adds fields: read past those that you do not know.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in CONTRACT_TOPICS},
        "operations": {
            f"receive-{topic.name}": {"action": "receive", "channel": {"$ref": f"#/channels/{topic.name}"}}
            for topic in CONTRACT_TOPICS
        },
        "components": {
            "messageTraits": {
                "cloudEvent": {
                    "headers": {
                        "type": "object",
                        "required": [name for name in HEADERS if name != "traceparent"],
                        "properties": {name: {"type": "string", "description": says} for name, says in HEADERS.items()},
                    }
                }
            }
        },
    }


def _channel(topic: Topic[Any]) -> dict[str, Any]:
    return {
        "address": topic.full_name(),
        "messages": {name: _message(topic, name, kind) for name, kind in topic.types.items()},
        "bindings": {
            "kafka": {"topicConfiguration": _topic_configuration(topic), "bindingVersion": "0.5.0"},
        },
    }


def _message(topic: Topic[Any], name: str, kind: type[Record]) -> dict[str, Any]:
    part = f"#/$defs/{name}" if len(topic.types) > 1 else ""
    return {
        "name": f"holdfast.{name}",
        "summary": (kind.__doc__ or name).strip().partition("\n")[0],
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./{topic.name}.schema.json{part}"},
        },
        "bindings": {"kafka": {"key": {"type": "string", "description": KEY}, "bindingVersion": "0.5.0"}},
    }


KEY = "the migration's id; a key of Holdfast's own begins with ~"


def _topic_configuration(topic: Topic[Any]) -> dict[str, Any]:
    """The settings that the binding knows, in its types."""
    config = topic.broker_config()
    known: dict[str, Any] = {"cleanup.policy": config["cleanup.policy"].split(",")}
    if "retention.ms" in config:
        known["retention.ms"] = int(config["retention.ms"])
    return known
