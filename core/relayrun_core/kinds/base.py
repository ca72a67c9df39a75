"""What both kinds share: camelCase fields, metadata, conditions."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "relayrun.dev"
VERSION = "v1alpha1"
API_VERSION: Literal["relayrun.dev/v1alpha1"] = "relayrun.dev/v1alpha1"

#: An object whose content is the author's or the user's, never looked into.
Opaque = dict[str, Any]


class KubeModel(BaseModel):
    """A part of a kind: camelCase outside, unknown fields refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class ObjectMeta(BaseModel):
    """The parts of metadata that Relayrun reads; all others are kept."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)

    name: str
    namespace: str | None = None
    uid: str | None = None
    generation: int | None = None
    resource_version: str | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Condition(KubeModel):
    """A condition in the form of metav1.Condition."""

    type: str = Field(max_length=316, description="The type of the condition, in CamelCase.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    observed_generation: int | None = Field(None, description="The generation that the condition describes.")
    last_transition_time: datetime = Field(description="When the status last changed.")
    reason: str = Field(max_length=1024, description="The reason in one CamelCase word, for programs.")
    message: str = Field("", max_length=32768, description="The reason in a sentence, for people.")


class EnvVar(BaseModel):
    """A variable as in a container; whatever belongs there beside the name is kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(min_length=1, description="The name of the variable.")


class LocalObjectReference(KubeModel):
    """Another object of the same namespace, by name."""

    name: str = Field(min_length=1, max_length=253, description="The name of the object.")


class SecretKeyReference(LocalObjectReference):
    """One key of a Secret of the same namespace."""

    key: str = Field(min_length=1, max_length=253, description="The key in the Secret.")
