"""Where a runtime's services are."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, SecretStr

from muster.settings import Settings


class Addresses(BaseModel):
    """`database_url` is what the API and workers use, `database_owner_url` what migrations use."""

    model_config = ConfigDict(frozen=True)

    temporal: str
    temporal_ui: str | None
    temporal_namespace: str
    database_url: str
    database_owner_url: str
    valkey_url: str
    embeddings_url: str = ""
    embedder_url: str = ""
    """Of the embedded model, where the other address is another's."""

    def apply(self, settings: Settings) -> Settings:
        """Settings in which every address is explicit."""
        return settings.model_copy(
            update={
                "temporal_address": self.temporal,
                "temporal_namespace": self.temporal_namespace,
                "temporal_ui_url": self.temporal_ui,
                "database_url": SecretStr(self.database_url),
                "database_owner_url": SecretStr(self.database_owner_url),
                "valkey_url": SecretStr(self.valkey_url),
                "embeddings_url": self.embeddings_url or None,
                "embedder_url": self.embedder_url or None,
            }
        )

    def environment(self) -> dict[str, str]:
        """The same for a process: what `Settings` reads."""
        return {
            "TEMPORAL_ADDRESS": self.temporal,
            "TEMPORAL_NAMESPACE": self.temporal_namespace,
            "MUSTER_TEMPORAL_UI_URL": self.temporal_ui or "",
            "DATABASE_URL": self.database_url,
            "MUSTER_DATABASE_OWNER_URL": self.database_owner_url,
            "VALKEY_URL": self.valkey_url,
            "MUSTER_EMBEDDINGS_URL": self.embeddings_url,
            "MUSTER_EMBEDDER_URL": self.embedder_url,
        }
