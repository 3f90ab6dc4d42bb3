"""Vector indexes: which items lie nearest. To add one: write its file, then add its line here."""

from typing import Annotated

from pydantic import Field

from export.index.compact import CompactConfig
from export.index.exact import ExactConfig
from export.index.hnsw import HnswConfig

IndexConfig = Annotated[
    HnswConfig | ExactConfig | CompactConfig,
    Field(discriminator="kind"),
]
