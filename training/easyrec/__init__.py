"""An EasyRec configuration becomes one of ours: every field mapped, noted or refused by name."""

from training.easyrec.convert import Request, convert

__all__ = ["Request", "convert"]
