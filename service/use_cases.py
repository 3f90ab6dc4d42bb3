"""What a process can do with one version: its use cases, and what keeps it current."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from export.embedder import Embedder
from export.ranker import open_ranker
from service.duties.recall_monitor import RecallMonitor
from service.embed import Embed
from service.follower import Follower
from service.generation import Generation
from service.intake import Intake
from service.items import Items
from service.observe import PUBLISH_TO_SEARCHABLE
from service.processes.loaded import Loaded
from service.ranking import Ranking
from service.recall import Recaller
from service.records import ItemRecord
from service.replay.explainer import Explainer
from service.settings import Settings
from service.similar import Similar
from service.store import Store
from service.users import Users


@dataclass(frozen=True)
class UseCases:
    """What a process that has a generation can do with it."""

    generation: Generation
    recaller: Recaller
    explainer: Explainer
    items: Items
    users: Users
    similar: Similar
    embed: Embed
    intake: Intake
    follower: Follower
    store: Store

    @property
    def version(self) -> str:
        """The bundle's name."""
        return self.generation.version


class Others:
    """The other versions of a process, which take over what one of them has written."""

    def __init__(self, intakes: Iterable[Intake]) -> None:
        self._intakes = list(intakes)

    def take_over(self, written: Sequence[ItemRecord]) -> set[str]:
        """Take over what was written; return the ids of what not all of them can serve."""
        return set[str]().union(*(one.take_over(written) for one in self._intakes))


def wire(
    settings: Settings,
    loaded: Loaded,
    stores: dict[str, Store],
    monitor: RecallMonitor | None = None,
) -> dict[str, UseCases]:
    """Return the use cases of each version that is loaded; opens sessions, so after the fork."""
    embedders = {
        version: Embedder.open(generation.bundle.layout, generation.schema)
        for version, generation in loaded.generations.items()
    }
    intakes = {
        version: Intake(stores[version], generation, embedders[version])
        for version, generation in loaded.generations.items()
    }
    return {
        version: _wired(settings, generation, stores[version], embedders[version], intakes, monitor)
        for version, generation in loaded.generations.items()
    }


def _wired(
    settings: Settings,
    generation: Generation,
    store: Store,
    embedder: Embedder,
    intakes: dict[str, Intake],
    monitor: RecallMonitor | None,
) -> UseCases:
    intake = intakes[generation.version]
    others = Others(one for one in intakes.values() if one is not intake)
    items = Items(generation, embedder, store, intake, others.take_over)
    searchable = PUBLISH_TO_SEARCHABLE.observe
    follower = Follower(store, generation, intake, on_searchable=searchable)
    ranking = _ranking(generation)
    recaller = Recaller(generation, embedder, store, follower, settings, ranking, monitor)
    return UseCases(
        generation=generation,
        recaller=recaller,
        explainer=Explainer(recaller, generation, embedder),
        items=items,
        users=Users(generation.schema, store),
        similar=Similar(generation, items, follower, settings),
        embed=Embed(generation, embedder, settings.limits.history),
        intake=intake,
        follower=follower,
        store=store,
    )


def _ranking(generation: Generation) -> Ranking | None:
    bundle = generation.bundle
    if bundle.ranker is None:
        return None
    return Ranking(generation, open_ranker(bundle.layout, bundle.schema, bundle.ranker.facts))
