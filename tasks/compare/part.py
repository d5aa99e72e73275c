"""What every part of the summary is: a model that cannot change and knows all of its fields."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
