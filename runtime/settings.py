"""All settings: from the environment (`INVENTORY_...`), else from the state folder, else default.

`inventory up` writes the addresses of the servers it started to `endpoints.json` in the state
folder, so every command run with the same state folder finds them. On a cluster the same names
come from the environment.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from runtime.errors import InventoryError

PREFIX = "INVENTORY_"
ENDPOINTS_FILE = "endpoints.json"


class Settings(BaseSettings):
    """Every setting, with its meaning. Environment names are these with INVENTORY_ before."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    state: Path = Field(default=Path("~/.inventory"), description="folder of the embedded platform")
    kafka: str = Field(default="", description="Kafka brokers, host:port, comma-separated")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="how to talk to Kafka"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="how to log in to Kafka"
    )
    kafka_user: str = Field(default="", description="Kafka user, where SASL is used")
    kafka_password: SecretStr = Field(default=SecretStr(""), description="its password")
    kafka_ca_file: Path | None = Field(default=None, description="CA certificates for SSL")
    kafka_replication: int = Field(default=1, ge=1, description="replicas of new topics")
    sku_partitions: int = Field(
        default=4, ge=1, le=256, description="partitions of topics keyed by SKU, for ever"
    )
    order_partitions: int = Field(
        default=4, ge=1, le=256, description="partitions of topics keyed by order, for ever"
    )
    postgres: SecretStr = Field(
        default=SecretStr(""), description="PostgreSQL, postgresql://user:password@host:port/db"
    )
    clickhouse: SecretStr = Field(
        default=SecretStr(""),
        description="ClickHouse for the sink, http://user:password@host:port/db",
    )
    clickhouse_analyst: SecretStr = Field(
        default=SecretStr(""), description="the same for analysts: a read-only user"
    )
    clickhouse_cluster: str = Field(
        default="", description="ClickHouse cluster name; empty for a single server"
    )
    default_raise_at: int = Field(
        default=10, ge=0, description="low-stock alert at or below, where nobody set a level"
    )
    default_clear_at: int = Field(
        default=13, ge=1, description="the alert ends at or above, where nobody set a level"
    )
    alert_min_stay_seconds: int = Field(
        default=300, ge=0, description="an alert stays at least so long by event time"
    )
    pay_within_minutes: int = Field(
        default=30, ge=1, description="an unpaid web order's reservation ends after"
    )
    instance: str = Field(
        default="", description="lasting name of this worker process: it gets its partitions back"
    )
    session_timeout_ms: int = Field(
        default=6_000, ge=1_000, description="a silent worker loses its partitions after"
    )
    http_host: str = Field(default="127.0.0.1", description="where workers serve health")
    http_port: int = Field(
        default=0, ge=0, le=65535, description="/livez, /readyz and /metrics of a worker; 0: none"
    )
    status_file: Path | None = Field(
        default=None, description="a worker writes its state there every second"
    )
    stuck_after_seconds: int = Field(
        default=60, ge=5, description="a worker with work to do that stands still so long ends"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="how much the workers say"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, _Endpoints(settings_cls))

    @property
    def state_dir(self) -> Path:
        return self.state.expanduser().absolute()

    def need(self, name: Literal["kafka", "postgres", "clickhouse", "clickhouse_analyst"]) -> str:
        """The address of a server; raises InventoryError where none is known."""
        value = getattr(self, name)
        address = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not address:
            raise InventoryError(
                f"No address of {name.replace('_', ' ')} is known for {self.state_dir}.",
                remedy=f"Run 'inventory up', or set {PREFIX}{name.upper()}.",
            )
        return str(address)


class _Endpoints(PydanticBaseSettingsSource):
    """What `inventory up` left in the state folder."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("this source answers as a whole")

    def __call__(self) -> dict[str, Any]:
        state = self.current_state.get("state") or Path(
            os.environ.get(f"{PREFIX}STATE", "~/.inventory")
        )
        return read_endpoints(Path(state).expanduser())


def read_endpoints(state_dir: Path) -> dict[str, Any]:
    """The addresses in a state folder; empty where the platform never started."""
    try:
        found = json.loads((state_dir / ENDPOINTS_FILE).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise InventoryError(
            f"{state_dir / ENDPOINTS_FILE} cannot be read: {error}",
            remedy="Run 'inventory up' to write it anew.",
        ) from error
    return dict(found)


def load_settings(**overrides: Any) -> Settings:
    """The settings as they stand now; raises InventoryError that names the wrong one."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        raise InventoryError(
            f"The setting {name} is wrong: {first['msg']} (it is {first['input']!r}).",
            remedy="'inventory config show' lists every setting and where it comes from.",
        ) from error
