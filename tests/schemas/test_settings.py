"""Settings: file and environment, and refusals that a stranger can act on."""

from pathlib import Path

import pytest

from holdfast_schemas.errors import SecretsUnreadable, SettingsInvalid, SettingsUnreadable
from holdfast_schemas.settings import Settings, variables


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and none of Holdfast's variables."""
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_need_neither_file_nor_variable() -> None:
    settings = Settings.load()
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9092"
    assert (settings.reporter.mode, settings.actuator.lease_seconds) == ("guard", 30.0)


def test_the_environment_comes_before_the_file(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (alone / "holdfast.toml").write_text('[kafka]\nbootstrap_servers = "a:1"\ntopic_prefix = "team"\n')
    monkeypatch.setenv("HOLDFAST_KAFKA__BOOTSTRAP_SERVERS", "b:2")
    kafka = Settings.load().kafka
    assert (kafka.bootstrap_servers, kafka.topic_prefix) == ("b:2", "team")


def test_holdfast_mode_is_the_reporters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_MODE", "observe")
    monkeypatch.setenv("HOLDFAST_REPORTER__START_TIMEOUT_SECONDS", "5")
    reporter = Settings.load().reporter
    assert (reporter.mode, reporter.start_timeout_seconds) == ("observe", 5.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            "[kafka]\nbootstrap_server = 'x'\n",
            ["kafka.bootstrap_server", "bootstrap_servers,"],
            id="unknown key",
        ),
        pytest.param(
            "[targets.app]\nhost = 'x'\n", ["targets.app.host", "allowed are backup, dsn"], id="unknown key of a target"
        ),
        pytest.param(
            "[actuator]\nlease_seconds = -3\n", ["actuator.lease_seconds", "-3", "greater than 0"], id="range"
        ),
        pytest.param("[actuator]\nweb_port = 'http'\n", ["actuator.web_port", '"http"', "integer"], id="type"),
        pytest.param(
            "[reporter]\nmode = 'gaurd'\n", ["reporter.mode", '"gaurd"', "'observe' or 'guard'"], id="literal"
        ),
        pytest.param(
            "[migrations.m]\ntarget = 'app'\nrole = 'r'\ntables = ['orders']\n",
            ["migrations.m.tables", "with their schema"],
            id="table without schema",
        ),
        pytest.param(
            "[migrations.m]\ntarget = 'app'\nrole = 'r'\ntables = ['public.a', 'public.a']\n",
            ["migrations.m.tables", "each table once"],
            id="table twice",
        ),
        pytest.param("[targets.'Not OK']\ndsn = ''\n", ["targets", "Not OK"], id="target name"),
        pytest.param(
            "[actuator]\nnotify_url = 'file:///etc/passwd'\n", ["actuator.notify_url", "(not shown)", "http"], id="file"
        ),
        pytest.param("[actuator]\nnotify_url = 'https://'\n", ["actuator.notify_url", "http"], id="no host"),
        pytest.param("[actuator]\nnotify_url = 'https://a b/'\n", ["actuator.notify_url", "http"], id="blank"),
        pytest.param(
            "[actuator]\nnotify_url = 'https://me:sesame@host/'\n",
            ["actuator.notify_url", "(not shown)"],
            id="password",
        ),
        pytest.param(
            "[actuator]\nnotify_secret = 'whsec_short'\n", ["actuator.notify_secret", "openssl rand"], id="short secret"
        ),
        pytest.param("[topics]\n", ["topics", "no such key"], id="unknown section"),
    ],
)
def test_a_wrong_file_names_file_key_found_and_allowed(alone: Path, text: str, says: list[str]) -> None:
    (alone / "holdfast.toml").write_text(text)
    with pytest.raises(SettingsInvalid) as refusal:
        Settings.load()
    for part in ("holdfast.toml", *says):
        assert part in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_a_file_that_is_not_toml_is_named(alone: Path) -> None:
    (alone / "holdfast.toml").write_text("[kafka\n")
    with pytest.raises(SettingsUnreadable, match=r"holdfast\.toml: not TOML"):
        Settings.load()


def test_secrets_are_not_shown(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (alone / "holdfast.toml").write_text("[kafka]\nsasl_password = ['hunter2']\n[ledger]\ndsn = ['password=hunter2']\n")
    with pytest.raises(SettingsInvalid) as refusal:
        Settings.load()
    assert "hunter2" not in str(refusal.value)
    monkeypatch.setenv("HOLDFAST_CONFIG", "absent.toml")
    monkeypatch.setenv("HOLDFAST_LEDGER__DSN", "password=hunter2")
    assert "hunter2" not in repr(Settings.load())


def test_both_clients_get_the_same_security() -> None:
    kafka = Settings.load(
        kafka={
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_username": "u",
            "sasl_password": "p",
        }
    ).kafka
    assert kafka.librdkafka() == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "u",
        "sasl.password": "p",
    }
    assert kafka.aiokafka() == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


def test_a_secret_may_stand_in_a_file(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (alone / "holdfast.toml").write_text('[ledger]\ndsn = "postgresql://file"\nkeep_days = 200\n')
    folder = alone / "secrets"
    folder.mkdir()
    (folder / "HOLDFAST_LEDGER__DSN").write_text("postgresql://secret\n")
    (folder / "HOLDFAST_TARGETS__ORDERS__DSN").write_text("postgresql://orders")
    (folder / "HOLDFAST_KAFKA__SASL_PASSWORD").write_text("p4ss")
    (folder / "unrelated").write_text("of another program")
    monkeypatch.setenv("HOLDFAST_SECRETS_DIR", str(folder))
    settings = Settings.load()
    assert settings.ledger.dsn.get_secret_value() == "postgresql://secret"
    assert settings.ledger.keep_days == 200
    assert settings.targets["orders"].dsn.get_secret_value() == "postgresql://orders"
    assert settings.kafka.sasl_password is not None
    assert settings.kafka.sasl_password.get_secret_value() == "p4ss"
    monkeypatch.setenv("HOLDFAST_LEDGER__DSN", "postgresql://environment")
    assert Settings.load().ledger.dsn.get_secret_value() == "postgresql://environment"


def test_secrets_are_read_where_kubernetes_links_to_them(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mounted Secret: the file is a link through ..data into a folder that is replaced at each change."""
    folder = alone / "secrets"
    (folder / "..2026_11_23_00_00_00.1").mkdir(parents=True)
    (folder / "..2026_11_23_00_00_00.1" / "HOLDFAST_LEDGER__DSN").write_text("postgresql://secret\n")
    (folder / "..data").symlink_to("..2026_11_23_00_00_00.1")
    (folder / "HOLDFAST_LEDGER__DSN").symlink_to("..data/HOLDFAST_LEDGER__DSN")
    monkeypatch.setenv("HOLDFAST_SECRETS_DIR", str(folder))
    assert Settings.load().ledger.dsn.get_secret_value() == "postgresql://secret"


def test_secrets_that_cannot_be_read_are_named_and_never_shown(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_SECRETS_DIR", str(alone / "nowhere"))
    with pytest.raises(SecretsUnreadable, match="HOLDFAST_SECRETS_DIR"):
        Settings.load()
    folder = alone / "secrets"
    folder.mkdir()
    monkeypatch.setenv("HOLDFAST_SECRETS_DIR", str(folder))
    (folder / "HOLDFAST_LEDGER__DNS").write_text("postgresql://u:hunter2@h")
    with pytest.raises(SettingsInvalid) as refusal:
        Settings.load()
    assert "ledger.dns" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
    (folder / "HOLDFAST_LEDGER__DNS").unlink()
    (folder / "HOLDFAST_LEDGER__DSN").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretsUnreadable):
        Settings.load()
