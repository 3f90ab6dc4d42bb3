"""The index of a bundle: opened from its file, or built, since an index is only a cache."""

from pydantic import TypeAdapter, ValidationError

from export.contract.bundle import Bundle
from export.contract.errors import BundleError
from export.contract.schema import explain
from export.index import IndexConfig
from export.index.base import VectorIndex


def open_index(bundle: Bundle) -> VectorIndex:
    """Open the index of a bundle, or build it from the bundle's vectors.

    Raises:
        BundleError: Its settings are none, or its file is not the one that was written.
    """
    settings = bundle.manifest.index.settings
    try:
        config: IndexConfig = TypeAdapter(IndexConfig).validate_python(settings)
    except ValidationError as error:
        raise BundleError(f"{bundle.layout.manifest}: index.settings: {explain(error)}") from error
    path = bundle.layout.index
    sha256 = bundle.manifest.checksums.get(path.relative_to(bundle.layout.folder).as_posix())
    if sha256 is None:
        return config.build(bundle.vectors)
    return config.load(path, sha256=sha256, dim=bundle.schema.dim, count=len(bundle.ids))
