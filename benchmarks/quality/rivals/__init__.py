"""Rivals. To add one: write its file, then add its line here."""

from benchmarks.quality.rivals.base import Rival
from benchmarks.quality.rivals.chance import Chance
from benchmarks.quality.rivals.content_neighbours import ContentNeighbours
from benchmarks.quality.rivals.ease import Ease
from benchmarks.quality.rivals.lightgbm import LightGBM
from benchmarks.quality.rivals.popularity import Popularity
from benchmarks.quality.rivals.wmf import WMF
from benchmarks.quality.rivals.wmf_ridge import WMFRidge

RIVALS: tuple[Rival, ...] = (
    Chance(),
    Popularity(),
    ContentNeighbours(),
    WMF(),
    Ease(),
    WMFRidge(),
    LightGBM(),
)
