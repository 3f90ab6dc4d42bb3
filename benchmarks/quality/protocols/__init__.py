"""Protocols. To add one: write its file, then add its line here."""

from benchmarks.quality.protocols import (
    citeulike_aldi,
    citeulike_cold,
    citeulike_warm,
    kuairand,
    movielens,
)

PROTOCOLS = (
    citeulike_cold.PROTOCOL,
    citeulike_warm.PROTOCOL,
    citeulike_aldi.PROTOCOL,
    movielens.PROTOCOL,
    kuairand.PROTOCOL,
)
