"""Towers. To add one: write its file, then add its line here."""

from training.towers.additive import AdditiveConfig

TowerConfig = AdditiveConfig

__all__ = ["AdditiveConfig", "TowerConfig"]
